#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether the C++ sources are as clang-format 14 lays them out by .clang-format.

    check_format.py [--self-test] ROOT

Ends with 77 where there is no clang-format-14. To mend: clang-format-14 -i FILE...
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

PROGRAM = "clang-format-14"
FOLDERS = ("bench", "kernel", "nmisafe", "tests", "tool")
SKIPPED = 77


def sources(root):
    """C++ alone: a header that assembly includes too (.h) has its columns by hand."""
    return [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.[ch]pp"))]


def unformatted(root):
    """Those that would change, by their paths from the root; and how many there are in all."""
    paths = sources(root)
    done = subprocess.run([PROGRAM, "--dry-run", "-Werror", "--style=file", *map(str, paths)], cwd=root,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    # FILE:LINE:COLUMN: error: code should be clang-formatted; a path may have colons too.
    names = {line.rsplit(":", 4)[0] for line in done.stderr.splitlines()
             if "error: code should be clang-formatted" in line}
    if done.returncode != 0 and not names:
        raise RuntimeError(done.stderr)
    return sorted(str(pathlib.Path(name).relative_to(root)) for name in names), len(paths)


def self_test(root):
    """One source that is well, and one that is not."""
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder).resolve()
        shutil.copy(root / ".clang-format", place)
        (place / "tool").mkdir()
        (place / "tool/well.cpp").write_text("int main() {\n    return 0;\n}\n")
        (place / "tool/ill.hpp").write_text("inline int one( ) { return  1; }\n")
        found = unformatted(place)
    if found != (["tool/ill.hpp"], 2):
        print(f"self-test: found {found}")
        return 1
    return 0


def main():
    root = pathlib.Path(sys.argv[-1]).resolve()
    if shutil.which(PROGRAM) is None:
        print(f"skipped: there is no {PROGRAM}")
        return SKIPPED
    if "--self-test" in sys.argv:
        return self_test(root)
    names, number = unformatted(root)
    print("\n".join(f"{name}: {PROGRAM} -i would change it" for name in names))
    print(f"{number} sources, {len(names)} failed")
    return 1 if names or number == 0 else 0


sys.exit(main())
