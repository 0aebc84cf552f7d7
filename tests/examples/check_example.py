#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds an example as its README says, boots it, and boots the control, which must show the harm. Then the variants,
each of which must pass or fail and say what is expected.

    check_example.py FOLDER COMPILER make|cmake EXPECTED HARM ["VARIABLE=VALUE ...: passes|fails: EXPECTED"...]
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


def c_compiler(compiler):
    return compiler.replace("clang++", "clang").replace("g++", "gcc")


def by_make(folder, compiler, build, settings):
    return run("make", "-s", "-C", folder, f"BUILD={build}", f"CXX={compiler}", f"CC={c_compiler(compiler)}", "run",
               *settings)


def by_cmake(folder, compiler, build, settings):
    code, said = run("cmake", "-S", folder, "-B", build, "-G", "Ninja", f"-DCMAKE_CXX_COMPILER={compiler}",
                     f"-DCMAKE_C_COMPILER={c_compiler(compiler)}", f"-DCMAKE_ASM_COMPILER={c_compiler(compiler)}",
                     *[f"-D{setting}" for setting in settings])
    return run("cmake", "--build", build, "--target", "run") if code == 0 else (code, said)


def main():
    folder, compiler, way, expected, harm, *variants = sys.argv[1:]
    build_and_run, control = {"make": (by_make, "WITHOUT=1"), "cmake": (by_cmake, "WITHOUT_NMISAFE=ON")}[way]
    rows = [([], True, expected), ([control], False, harm)]
    for variant in variants:
        settings, verdict, pattern = (word.strip() for word in variant.split(":", 2))
        rows.append((settings.split(), {"passes": True, "fails": False}[verdict], pattern))
    with tempfile.TemporaryDirectory() as build:  # one for all, as who tries them has it
        for settings, passes, pattern in rows:
            code, said = build_and_run(folder, compiler, build, settings)
            found = re.search(rf"^{pattern}$", said, re.M)
            if (code == 0) != passes or not found:
                print(f"{' '.join(settings) or 'as it is'}: code {code}, and not '{pattern}':\n{said}")
                return 1
            print(f"{' '.join(settings)}: {found.group(0)}")
    return 0


sys.exit(main())
