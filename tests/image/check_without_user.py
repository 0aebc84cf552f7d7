#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A kernel without user mode pays no instruction for it.

    check_without_user.py --nm NM CONSUMER WIDTH LEVEL [--self-test]

CONSUMER is the folder where tests/consumer was built. Its two kernels, without user mode and with it, have the
same objects of the library, byte for byte, and the one without has nothing of the module user.
"""

import argparse
import pathlib
import re
import subprocess
import sys

USER = re.compile(r"nmisafe_user_|nmisafe4user")


def objects(folder):
    """The library's objects of a kernel, by their paths in it."""
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*.o")) if "nmisafe" in path.relative_to(folder).parts}


def compare(without, with_user):
    """What is wrong with two kernels' objects."""
    failures = [f"{name} is another with user mode" for name, bytes_ in without.items()
                if with_user.get(name) != bytes_]
    if not any("/trap/" in name for name in without):
        failures.append("there is no object of the module trap")
    more = set(with_user) - set(without)
    if not more or not all("/user/" in name for name in more):
        failures.append(f"with user mode there is also {sorted(more)}")
    return failures


def symbols_of_user(nm, image):
    listed = subprocess.run([nm, image], text=True, capture_output=True, check=True).stdout
    return USER.findall(listed)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--nm", required=True)
    arguments.add_argument("--self-test", action="store_true")
    arguments.add_argument("consumer", type=pathlib.Path)
    arguments.add_argument("width")
    arguments.add_argument("level")
    options = arguments.parse_args()
    images = [options.consumer / f"{name}_{options.width}_O{options.level}"
              for name in ("kernel", "user_kernel")]
    without, with_user = [objects(options.consumer / "CMakeFiles" / f"{image.name}.dir") for image in images]
    failures = compare(without, with_user)
    if symbols_of_user(options.nm, images[0]):
        failures.append("the kernel without user mode has symbols of it")
    if not symbols_of_user(options.nm, images[1]):
        failures.append("the kernel with user mode has no symbol of it")
    if options.self_test and not failures:
        # Each object in turn with one byte more, and one less of them.
        for name, bytes_ in without.items():
            if not compare(without, {**with_user, name: bytes_ + b"\0"}):
                failures.append(f"not noticed: a change of {name}")
            if not compare({**without, name: None}, with_user):
                failures.append(f"not noticed: another {name}")
        if not compare(without, without) or not compare({}, with_user):
            failures.append("not noticed: kernels without objects")
    print("\n".join(failures) or f"{len(without)} objects are the same", file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
