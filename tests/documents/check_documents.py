#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks what the documents say against the repository.

  - every file or folder named in backticks or linked exists
  - every command line that begins with ./run or ./test uses options that its --help knows, and those
    that only print (--help, --list) are run
  - every experiment and policy that the README names is in the tool's catalogue

    check_documents.py ROOT TOOL
"""

import pathlib
import re
import subprocess
import sys

# A word in backticks is taken for a file if it has a slash or one of these endings.
ENDINGS = (".md", ".cpp", ".hpp", ".h", ".S", ".py", ".json", ".cmake", ".ld")
# Made by the build or by a run; or a name with a place to fill in.
NOT_IN_TREE = re.compile(r"^(build|out)/|[<*{$]|^(/|nmisafe_platform\.hpp$|report\.json$)")


def documents(root):
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "*.md"],
                                     cwd=root, text=True)
    return [root / line for line in listed.splitlines()]


def check_files(root, document, text, failures):
    places = (root, document.parent, root / "nmisafe", root / "kernel", root / "docs")
    names = re.findall(r"`([^`\s]+)`", text) + re.findall(r"\]\(([^)#:]+)\)", text)
    for name in names:
        looks_like_file = name.endswith(ENDINGS) or (re.fullmatch(r"[\w.\-]+(/[\w.\-]*)+", name))
        if not looks_like_file or NOT_IN_TREE.search(name):
            continue
        if not any((place / name).exists() for place in places):
            failures.append(f"{document.relative_to(root)}: {name} does not exist")


def check_commands(root, document, text, helps, failures):
    for program, rest in re.findall(r"^(?:    |\$ )?(\./(?:run|test))\b([^\n#`]*)", text, re.M):
        for option in re.findall(r"--[\w-]+", rest):
            if option not in helps[program]:
                failures.append(f"{document.relative_to(root)}: {program} has no {option}")


def main():
    root, tool = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    failures = []
    helps = {program: subprocess.check_output([root / program, "--help"], text=True)
             for program in ("run", "test")}
    helps = {"./" + program: text for program, text in helps.items()}
    catalogue = subprocess.check_output([tool, "run", "--list"], text=True)
    found = documents(root)
    for document in found:
        text = document.read_text()
        check_files(root, document, text, failures)
        check_commands(root, document, text, helps, failures)
    readme = (root / "README.md").read_text()
    for name in re.findall(r"--experiment[ =]([\w-]+)", readme) + \
            re.findall(r"^\| `([a-z]+-[a-z-]+)` \|", readme, re.M):
        if name not in catalogue:
            failures.append(f"README.md: no experiment {name}")
    if len(found) < 5:
        failures.append(f"only {len(found)} documents found")
    print("\n".join(failures) or f"{len(found)} documents checked")
    return 1 if failures else 0


sys.exit(main())
