"""Checks docs/reference/patched-calls.md against the code: the same names, each carried out as the page says; and of what is left
out, the same groups, with examples that belong to them."""

import pathlib
import re
import sys

TREE = pathlib.Path(__file__).resolve().parents[2]
LIST = TREE / "netio/src/patch/patched_calls.inc"
LEFT_OUT = TREE / "services/src/unpatched_calls.cpp"
PAGE = TREE / "docs/reference/patched-calls.md"


def check_left_out(page, problems):
    groups = re.findall(r'\{"([^"]+)",\s+unpatched_kind::(\w+),.*?(?:R"\(([^)]*)\)"|"([\w ]+)")\}', LEFT_OUT.read_text(), re.DOTALL)
    coded = {name: (kind.replace("_", " "), set((calls or few).split())) for name, kind, calls, few in groups}
    written = {}
    for name, kind, calls in re.findall(r"^\| ([\w' ]+) \| ([a-z ]+) \| (`.*?) \|", page, re.MULTILINE):
        written[name] = kind
        if name in coded and (strange := set(re.findall(r"`(\w+)`", calls)) - coded[name][1]):
            problems.append(f"{PAGE.name} has {', '.join(sorted(strange))} under '{name}', {LEFT_OUT.name} doesn't")
    kinds = {name: kind for name, (kind, _) in coded.items()}
    for name in sorted(kinds.keys() | written.keys()):
        if kinds.get(name) != written.get(name):
            problems.append(f"'{name}': {LEFT_OUT.name} says {kinds.get(name)}, {PAGE.name} {written.get(name)}")


def main():
    coded = dict(re.findall(r"^CALL\((\w+), (\w+)\)$", LIST.read_text(), re.MULTILINE))
    page, left_out = PAGE.read_text().split("## Left out")
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
    check_left_out(left_out, problems)
    print("\n".join(problems) or f"{len(coded)} calls")
    return 1 if problems else 0


sys.exit(main())
