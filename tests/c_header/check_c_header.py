#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The headers for C, compiled as a kernel in C does: C11 and C++20, both widths, pedantic warnings as errors.

    check_c_header.py ROOT C++-COMPILER

Each header alone; the listing of nmisafe/c/README.md, at -O0 and -O2; that C sees no inline function but those of the
macros (what other languages bind to is there without a compiler of C); and arguments of a marker that do not fit its
format, which must not compile.
"""

import pathlib
import re
import subprocess
import sys

LANGUAGES = {"C11": ["-x", "c", "-std=c11"], "C++20": ["-x", "c++", "-std=c++20"]}
FLAGS = ("-ffreestanding -fno-pic -mno-red-zone -mgeneral-regs-only -Wall -Wextra -Wpedantic -Werror -Wconversion "
         "-Wshadow -Wundef -Wno-unused-parameter").split()
IMMEDIATES = """#include "nmisafe/c/nmisafe.h"
NMISAFE_C_IMMEDIATE_DECLARE(large, 0xfedcba98)
NMISAFE_C_IMMEDIATE_DEFINE(large);
NMISAFE_C_IMMEDIATE_DECLARE(negative, -1)
NMISAFE_C_IMMEDIATE_DEFINE(negative);
"""
WRONG = {
    "another type": 'NMISAFE_C_MARK(net_packet, "x", 1u);',
    "one too few": "NMISAFE_C_MARK(net_packet, 1u);",
    "one too many": "NMISAFE_C_MARK(net_packet, 1u, 2u, 3u);",
    "none": "NMISAFE_C_MARK_ONLY(net_packet);",
}


def compiled(root, compiler, language, width, text, level="-O2"):
    return subprocess.run([compiler, *LANGUAGES[language], f"-m{width}", level, *FLAGS, f"-I{root}", "-c", "-", "-o",
                           "/dev/null"], input=text, text=True, capture_output=True, check=False)


def main():
    root, compiler = pathlib.Path(sys.argv[1]), sys.argv[2]
    headers = sorted((root / "nmisafe/c").glob("*.h"))
    page = (root / "nmisafe/c/README.md").read_text()
    listing = "\n".join(re.findall(r"^```c\n(.*?)^```", page, re.M | re.S))
    texts = {header.name: f'#include "nmisafe/c/{header.name}"\nextern int nothing;\n' for header in headers}
    problems, tried = [], 0
    for language in LANGUAGES:
        for width in (64, 32):
            for level in ("-O0", "-O2"):
                for name, text in {**texts, "immediates of any value": IMMEDIATES, "the listing of README.md": listing}.items():
                    tried += 1
                    done = compiled(root, compiler, language, width, text, level)
                    if done.returncode != 0 or done.stderr:
                        problems.append(f"{name}, {language}, {width} bits, {level}:\n{done.stderr}")
            for name, statement in WRONG.items():
                tried += 1
                done = compiled(root, compiler, language, width, f"{listing}\nvoid wrong(void);\nvoid wrong(void) {{\n"
                                f"    {statement}\n}}\n")
                if done.returncode == 0 or "-Wformat" not in done.stderr and "-Werror=format" not in done.stderr:
                    problems.append(f"{name}, {language}, {width} bits: it compiles, or is refused for another "
                                    f"reason:\n{done.stderr}")
    for header in headers:
        outside_of_macros = re.sub(r"^#define(?:.*\\\n)*.*\n", "", header.read_text(), flags=re.M)
        if re.search(r"\binline\b", outside_of_macros):
            problems.append(f"{header.name}: an inline function: what binds to C does not see it")
    if len(headers) < 8 or "NMISAFE_C_MARK(" not in listing:
        problems.append("headers or listing were not found")
    print("\n".join(problems) or f"{tried} compilations as they should be")
    return 1 if problems else 0


sys.exit(main())
