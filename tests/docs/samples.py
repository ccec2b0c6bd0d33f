"""The code in the documentation.

A block after `<!-- sample: NAME -->` is a whole program:  samples.py extract FILE.md NAME OUTPUT
A block after `<!-- quote: PATH -->` stands in that file:   samples.py quotes TREE FILE.md...
"""

import re
import sys
from pathlib import Path

BLOCK = re.compile(r"<!-- (sample|quote): (\S+) -->\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def extract(document, name, output):
    for kind, found, code in BLOCK.findall(Path(document).read_text()):
        if (kind, found) == ("sample", name):
            Path(output).write_text(code)
            return 0
    print(f"{document} has no sample {name}", file=sys.stderr)
    return 1


def check_quotes(tree, documents):
    failed = 0
    quotes = 0
    for document in documents:
        for kind, path, code in BLOCK.findall(Path(tree, document).read_text()):
            if kind != "quote":
                continue
            quotes += 1
            if code not in Path(tree, path).read_text():
                print(f"{document} quotes {path}, but not as it is", file=sys.stderr)
                failed = 1
    if not quotes:
        print("no quotes found: has the marker changed?", file=sys.stderr)
    return failed or not quotes


if __name__ == "__main__":
    if sys.argv[1] == "extract":
        sys.exit(extract(*sys.argv[2:]))
    sys.exit(check_quotes(sys.argv[2], sys.argv[3:]))
