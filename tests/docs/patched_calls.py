"""Checks docs/reference/patched-calls.md against the code: the same names, each carried out as the page says."""

import pathlib
import re
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]
LIST = TREE / "netio/src/patch/patched_calls.inc"
PAGE = TREE / "docs/reference/patched-calls.md"


def main():
    coded = dict(re.findall(r"^CALL\((\w+), (\w+)\)$", LIST.read_text(), re.MULTILINE))
    page = PAGE.read_text().split("## Left out")[0]
    problems = []
    written = set()
    for names, kinds, _ in re.findall(r"^\| (`.*?) \| ([a-z, ]+) \| (.*)\|$", page, re.MULTILINE):
        row = re.findall(r"`(\w+)`", names)
        written.update(row)
        if unknown := [name for name in row if name not in coded]:
            problems.append(f"{PAGE.name} lists {', '.join(unknown)}, which {LIST.name} doesn't")
        elif (actual := ", ".join(sorted({coded[name] for name in row}))) != kinds.strip():
            problems.append(f"{PAGE.name} says '{kinds}' of {', '.join(row)}; it is '{actual}'")
    if missing := sorted(coded.keys() - written):
        problems.append(f"{PAGE.name} lacks {', '.join(missing)}")
    print("\n".join(problems) or f"{len(coded)} calls")
    return 1 if problems else 0


sys.exit(main())
