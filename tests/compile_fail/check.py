#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that code which must not compile does not, and that the error says why.

A source lists its variants in comments:

    // error 1: <regular expression>
    // error 2: <regular expression>
    // flags: <more options of the compiler, if any>

It must compile with -DEXPECT_ERROR=0, without a word from the compiler; that is what proves that the
variants fail for their own reason. With -DEXPECT_ERROR=<n> it must fail, and an "error:" line must
match the expression of variant n.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

VARIANT = re.compile(r"^// error (\d+): (.+)$", re.MULTILINE)
FLAGS = re.compile(r"^// flags: (.+)$", re.MULTILINE)


def compile_source(compiler, root, source, variant):
    flags = " ".join(FLAGS.findall(source.read_text())).split()
    return subprocess.run(
        [compiler, "-std=c++20", "-Wall", "-Wextra", "-Werror=unused-result", "-fsyntax-only", *flags,
         f"-I{root}", f"-I{root}/tests/compile_fail/kernel", f"-DEXPECT_ERROR={variant}", str(source)],
        capture_output=True, text=True, timeout=120)


def problems_of(compiler, root, source):
    variants = VARIANT.findall(source.read_text())
    if not variants:
        return [f"{source}: lists no '// error <n>: <expression>'"]
    numbers = [int(number) for number, _ in variants]
    if numbers != list(range(1, len(numbers) + 1)):
        return [f"{source}: the variants must be numbered 1, 2, 3, ..., not {numbers}"]

    problems = []
    good = compile_source(compiler, root, source, 0)
    if good.returncode != 0 or good.stderr:
        problems.append(f"{source}: does not compile cleanly without an error asked for:\n"
                        f"{good.stderr}")
    for number, expression in variants:
        bad = compile_source(compiler, root, source, number)
        errors = [line for line in bad.stderr.splitlines() if "error:" in line]
        if bad.returncode == 0:
            problems.append(f"{source}: variant {number} compiles")
        elif not any(re.search(expression, line) for line in errors):
            problems.append(f"{source}: variant {number} has no error that matches "
                            f"'{expression}':\n{bad.stderr}")
    return problems


def self_test(compiler, root):
    """Every way to be wrong must be seen, or a broken check would pass for good."""
    cases = {
        "right": ("// error 1: because\n#if EXPECT_ERROR == 1\n#error because\n#endif\n", ""),
        "lists none": ("int x;\n", "lists no"),
        "bad numbers": ("// error 2: because\n#error because\n", "must be numbered"),
        "never compiles": ("// error 1: because\n#error because\n", "does not compile cleanly"),
        "warns": ("// error 1: because\n#warning words\n#if EXPECT_ERROR == 1\n#error because\n"
                  "#endif\n", "does not compile cleanly"),
        "always compiles": ("// error 1: because\nint x;\n", "variant 1 compiles"),
        "flags": ("// flags: -DGIVEN\n// error 1: because\n#if EXPECT_ERROR == 1 || !defined GIVEN\n"
                  "#error because\n#endif\n", ""),
        "other reason": ("// error 1: because\n#if EXPECT_ERROR == 1\n#error otherwise\n#endif\n",
                         "has no error that matches"),
    }
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (text, expected) in cases.items():
            source = pathlib.Path(folder, "source.cpp")
            source.write_text(text)
            found = "\n".join(problems_of(compiler, root, source))
            if (expected not in found) if expected else found:
                wrong.append(f"self-test '{name}': expected '{expected}', found '{found}'")
    return wrong


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--compiler", required=True)
    arguments.add_argument("--root", required=True)
    arguments.add_argument("--self-test", action="store_true")
    arguments.add_argument("sources", nargs="*", type=pathlib.Path)
    options = arguments.parse_args()
    if options.self_test == bool(options.sources):
        arguments.error("give sources or --self-test")

    problems = self_test(options.compiler, options.root) if options.self_test else []
    for source in options.sources:
        problems += problems_of(options.compiler, options.root, source)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
