"""The code in the documentation: what stands in a page's blocks, by the line before each.

    <!-- sample: NAME -->   a whole C++ program
    <!-- python: NAME -->   a whole Python program
    <!-- output: NAME -->   all that the programs of that name print; `...` stands for what differs from run to run
    <!-- quote: PATH -->    some lines of that file

samples.py extract FILE.md NAME OUTPUT   writes a C++ program to a file, unless that is what the file holds
samples.py run FILE.md NAME PROGRAM      runs it, and compares what it prints
samples.py python FILE.md NAME           the same for a Python program; ends with 77 if a module that it imports is missing
samples.py quotes TREE FILE.md...        compares the quotes
"""

import difflib
import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"<!-- (sample|python|output|quote): (\S+) -->\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SKIPPED = 77


def block(document, kind, name):
    for found, found_name, code in BLOCK.findall(Path(document).read_text()):
        if (found, found_name) == (kind, name):
            return code
    sys.exit(f"{document} has no {kind} {name}")


def extract(document, name, output):
    code = block(document, "sample", name)
    target = Path(output)
    if not target.exists() or target.read_text() != code:
        target.write_text(code)
    return 0


def compare(document, name, command):
    wanted = block(document, "output", name)
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode != 0:
        print(f"{name} ended with {ended.returncode}", file=sys.stderr)
    as_wanted = re.fullmatch(".*?".join(map(re.escape, wanted.split("..."))), ended.stdout)
    if not as_wanted:
        print(f"{name} doesn't print what {document} says:", file=sys.stderr)
        sys.stderr.writelines(
            difflib.unified_diff(wanted.splitlines(True), ended.stdout.splitlines(True), "page", "program"))
    return ended.returncode != 0 or not as_wanted


def run_python(document, name):
    code = block(document, "python", name)
    compile(code, name, "exec")
    modules = re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE)
    # The distribution's packages are the distribution's python3's.
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import " + ", ".join(modules)], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            return compare(document, name, [python, "-W", "error", "-c", code])
    print(f"{name} compiles, but one of these modules is missing: {', '.join(modules)}", file=sys.stderr)
    return SKIPPED


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
    what, *arguments = sys.argv[1:]
    if what == "extract":
        sys.exit(extract(*arguments))
    if what == "run":
        sys.exit(compare(arguments[0], arguments[1], arguments[2:]))
    if what == "python":
        sys.exit(run_python(*arguments))
    sys.exit(check_quotes(arguments[0], arguments[1:]))
