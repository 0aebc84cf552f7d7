#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Looks for what the way of an event into its buffer must not have, on both widths and at each optimisation:
calls of the compiler's library or of anybody else, divisions, and LOCK but for the one of a packet's beginning.

    check_write_path.py --root ROOT --compiler COMPILER
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

FLAGS = ["-std=gnu++20", "-ffreestanding", "-fno-exceptions", "-fno-rtti", "-fno-stack-protector", "-fno-pic",
         "-mno-red-zone", "-mgeneral-regs-only", "-fno-asynchronous-unwind-tables"]
INSTRUCTION = re.compile(r"^\s+[0-9a-f]+:\t(.*)$", re.M)


def problems_of(arguments, width, level, planted):
    with tempfile.TemporaryDirectory() as folder:
        compiled = pathlib.Path(folder) / "write_path.o"
        subprocess.run([arguments.compiler, f"-m{width}", f"-O{level}", *FLAGS, *(["-DPLANTED"] if planted else []),
                        "-idirafter", "/usr/include/x86_64-linux-gnu", "-I", arguments.root, "-c",
                        pathlib.Path(arguments.root) / "tests/write_path/write_path.cpp", "-o", compiled],
                       check=True)
        undefined = subprocess.check_output(["nm", "-u", compiled], text=True).split()[1::2]
        text = subprocess.check_output(["objdump", "-d", "--no-show-raw-insn", compiled], text=True)
    instructions = INSTRUCTION.findall(text)
    locked = [one for one in instructions if one.startswith("lock")]
    problems = [f"calls {name}" for name in undefined]
    problems += [f"divides: {one}" for one in instructions if re.match(r"i?div", one)]
    # trace_clock is compiled in twice, and prepare() is inlined or not.
    problems += [f"locks: {one}" for one in locked if not one.startswith("lock cmpxchg")]
    if len(instructions) < 100 or not any("rdtsc" in one for one in instructions) or not locked:
        problems.append("this is not the write path")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", required=True)
    parser.add_argument("--compiler", required=True)
    arguments = parser.parse_args()
    failed = False
    for width in [64, 32]:
        for level in "0123s":
            for problem in problems_of(arguments, width, level, False):
                print(f"-m{width} -O{level}: {problem}")
                failed = True
        planted = problems_of(arguments, width, "2", True)
        wanted = ["locks", "divides" if width == 64 else "calls"]
        if not all(any(one.startswith(word) for one in planted) for word in wanted):
            print(f"-m{width}: what was planted is not found: {planted}")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
