#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks what the documents say against the repository.

  - every file or folder named in backticks or linked exists, and every header that an example names; a
    header named without a folder lies beside the page
  - every experiment that the README lists is in the tool's catalogue; and every one of the catalogue in
    the README, and in the list of the experiments' rooms

Commands are check_commands.py's, listings check_listings.py's.

    check_documents.py ROOT TOOL
"""

import pathlib
import re
import subprocess
import sys

# A word in backticks is taken for a file if it has one of these endings, or a slash behind the name of a
# folder that exists.
ENDINGS = (".md", ".cpp", ".hpp", ".h", ".S", ".py", ".json", ".cmake", ".ld")
# Made by the build, by a run or by the reader; Linux's; or a name with a place to fill in.
NOT_IN_TREE = re.compile(
    r"^(build|out)/|[<*{$]|^(/|\.|nmisafe_platform\.hpp$|nmisafe_user_layout\.h$|report\.json$|hardirq\.h$)")


SELF_TEST = "hello"  # what all experiments rely on: it proves nothing of the library


def documents(root):
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "*.md"],
                                     cwd=root, text=True)
    return [root / line for line in listed.splitlines()]


def named_files(text):
    """What a page names: in backticks, by links, and the headers in its examples."""
    examples = "".join(re.findall(r"^```cpp\n(.*?)^```", text, re.M | re.S))
    return re.findall(r"`([^`\s]+)`", text) + re.findall(r"\]\(([^)#:]+)\)", text) + \
        re.findall(r"[\w./]+\.hpp\b", examples)


def check_files(root, document, text, names_in_tree, failures):
    places = (root, document.parent, root / "nmisafe", root / "kernel", root / "docs")
    for name in named_files(text):
        folder = name.split("/")[0] if "/" in name else None
        in_folder = folder and any((place / folder).is_dir() for place in places)
        if NOT_IN_TREE.search(name) or not (name.endswith(ENDINGS) or in_folder):
            continue
        found = any((place / name).exists() for place in places)
        if not found and ("/" in name or name not in names_in_tree):
            failures.append(f"{document.relative_to(root)}: {name} does not exist")
        elif not found and name.endswith((".hpp", ".h")):
            failures.append(f"{document.relative_to(root)}: {name} lies elsewhere: it needs its folder")


def main():
    root, tool = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    failures = []
    catalogue = subprocess.check_output([tool, "run", "--list"], text=True)
    found = documents(root)
    tree = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, text=True)
    names_in_tree = {pathlib.PurePath(line).name for line in tree.splitlines()}
    for document in found:
        check_files(root, document, document.read_text(), names_in_tree, failures)
    readme = (root / "README.md").read_text()
    for name in re.findall(r"^\| `([a-z]+-[a-z-]+)` \|", readme, re.M):
        if name not in catalogue:
            failures.append(f"README.md: no experiment {name}")
    rooms = (root / "kernel/experiments/README.md").read_text()
    for name in re.findall(r"^([a-z][a-z-]+)$", catalogue, re.M):
        if name.startswith("crash-"):  # the room names them so
            continue
        if f"`{name}`" not in rooms:
            failures.append(f"kernel/experiments/README.md: {name} has no room")
        if not re.search(rf"`{name}`|--experiment {name}\b", readme) and name != SELF_TEST:
            failures.append(f"README.md: {name} is not listed")
    if len(found) < 5:
        failures.append(f"only {len(found)} documents found")
    print("\n".join(failures) or f"{len(found)} documents checked")
    return 1 if failures else 0


sys.exit(main())
