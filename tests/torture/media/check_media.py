#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The smallest guest, in each form in which `nmisafe torture` takes one: every boundary of its breakpoint must be the same.

    check_media.py TOOL COMPILER OVMF FORM

FORM: multiboot, multiboot2, cd, disk, uefi (Multiboot 2 alone, by GRUB, from a CD image, the same file as a disk, and by
OVMF's firmware), real-mode (a path that begins with a CPU's first instruction: refused, by name).
"""

import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
BOUNDARIES = 6  # of breakpoint_entry
CONFIGURATION = "set timeout=0\nmenuentry kernel {\n    multiboot2 /kernel\n}\n"


def build(compiler, folder, *flags):
    kernel = folder / "kernel.elf"
    subprocess.run([compiler, "-m32", "-nostdlib", "-static", "-no-pie", *flags, HERE / "kernel.S", "-o", kernel,
                    "-Wl,-z,noexecstack,-e,start,-Ttext=0x101000,--section-start=.multiboot2=0x100100",
                    *([] if flags else ["-Wl,--section-start=.multiboot=0x100000"])], check=True)
    return kernel


def compact_disc(compiler, folder, name):
    tree = folder / "tree"
    (tree / "boot" / "grub").mkdir(parents=True)
    build(compiler, folder, "-DMULTIBOOT2_ALONE").rename(tree / "kernel")
    (tree / "boot" / "grub" / "grub.cfg").write_text(CONFIGURATION)
    image = folder / name
    subprocess.run(["grub-mkrescue", "-o", image, tree, "--compress=no", "--fonts=", "--locales=", "--themes="],
                   check=True, capture_output=True)
    return image


def torture(tool, folder, kernel, *more):
    out = folder / "out"
    done = subprocess.run([tool, "torture", "--after", "torture: ready", "--out", out, kernel, *more], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    report = out / "report.json"
    return done, json.loads(report.read_text())["sweeps"][0] if report.exists() else {}


def check_swept(done, sweep):
    print(done.stdout)
    if done.returncode == 0 and sweep["verdicts"] == {"same": BOUNDARIES}:
        return True
    print(f"ended with {done.returncode}, {BOUNDARIES} boundaries, all the same, wanted")
    return False


def check_refused(done, words):
    print(done.stdout)
    if done.returncode == 2 and words in done.stdout:
        return True
    print(f"ended with {done.returncode}, and not with 2 and \"{words}\"")
    return False


def main():
    tool, compiler, firmware, form = sys.argv[1:]
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        if form == "multiboot":
            right = check_swept(*torture(tool, folder, build(compiler, folder)))
        elif form == "multiboot2":
            done, _ = torture(tool, folder, build(compiler, folder, "-DMULTIBOOT2_ALONE"))
            right = check_refused(done, "make a CD image (.iso) or a disk image with a boot loader in it")
        elif form == "real-mode":
            done, _ = torture(tool, folder, build(compiler, folder), "--path", "0xfffffff0", "--timeout", "5")
            right = check_refused(done, "16-bit code")
        else:
            image = compact_disc(compiler, folder, "kernel.img" if form == "disk" else "kernel.iso")
            more = ["--", "-bios", firmware] if form == "uefi" else []
            right = check_swept(*torture(tool, folder, image, *more))
    return 0 if right else 1


sys.exit(main())
