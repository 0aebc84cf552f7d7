#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds an example as its README says, boots it, and boots the control, which must show the harm.

    check_example.py FOLDER COMPILER make|cmake EXPECTED HARM
"""

import re
import subprocess
import sys
import tempfile

SECONDS = 300


def run(*command):
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
    return done.returncode, done.stdout


def by_make(folder, compiler, build, without):
    return run("make", "-s", "-C", folder, f"BUILD={build}", f"CXX={compiler}", "run",
               *(["WITHOUT=1"] if without else []))


def by_cmake(folder, compiler, build, without):
    code, said = run("cmake", "-S", folder, "-B", build, "-G", "Ninja", f"-DCMAKE_CXX_COMPILER={compiler}",
                     f"-DCMAKE_ASM_COMPILER={compiler}", f"-DWITHOUT_NMISAFE={'ON' if without else 'OFF'}")
    return run("cmake", "--build", build, "--target", "run") if code == 0 else (code, said)


def main():
    folder, compiler, way, expected, harm = sys.argv[1:]
    build_and_run = {"make": by_make, "cmake": by_cmake}[way]
    with tempfile.TemporaryDirectory() as build:  # one for both, as who tries them has it
        for without, passes, pattern in ((False, True, expected), (True, False, harm)):
            code, said = build_and_run(folder, compiler, build, without)
            if (code == 0) != passes or not re.search(rf"^{pattern}$", said, re.M):
                print(f"{'without nmisafe' if without else 'with nmisafe'}: code {code}, and not '{pattern}':")
                print(said)
                return 1
            print(re.search(rf"^{pattern}$", said, re.M).group(0))
    return 0


sys.exit(main())
