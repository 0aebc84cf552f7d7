#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What lies in front of a kernel's text is no code, though it may read as such: an image whose boot header
has an address that reads as x87's FST is looked at as any other is."""

import argparse
import os
import subprocess
import sys
import tempfile

from check_image import instructions, symbols

SOURCE = """
    .text
multiboot_header:
    .long 0x000013d9    # FST (%ebx), and an ADD: to each disassembler the same
    .globl kernel_text_begin
kernel_text_begin:
    ret
"""


def main():
    parser = argparse.ArgumentParser()
    for option in ("nm", "objdump", "compiler"):
        parser.add_argument("--" + option, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        image = os.path.join(directory, "image")
        subprocess.run([options.compiler, "-m32", "-x", "assembler", "-c", "-", "-o", image],
                       input=SOURCE, text=True, check=True)
        begin = symbols(options.nm, image)[0]["kernel_text_begin"]
        from_begin = [mnemonic for _, mnemonic, _ in instructions(options.objdump, image, begin)]
        whole = [mnemonic for _, mnemonic, _ in instructions(options.objdump, image)]
    print(f"from the text's begin: {from_begin}; whole: {whole}")
    return 0 if from_begin in (["ret"], ["retl"]) and any(m.startswith("f") for m in whole) else 1


sys.exit(main())
