#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the self-test of the return alone says of RF is so: under Bochs, which pushes RF=1 at page faults as CPUs do, the
example with that duty left out has NMIs in NMIs, by its own page faults; with it there are none.

    check_real_faults.py ROOT COMPILER LOADER LOG
"""

import pathlib
import re
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "guest"))
import check_bochs  # noqa: E402

LOADED_AT = 0x100000
LINE = re.compile(r"^NMIs (\d+), in NMIs (\d+), breakpoints \d+, page faults \d+$", re.M)
SECONDS = 100
# Settings, and whether NMIs in NMIs must be seen.
ROWS = (([], False), (["UNCHECKED=1", "LEFT_OUT=RF"], True), (["UNCHECKED=1", "LEFT_OUT=RF", "WIDTH=32"], True))


def flat_image(elf, folder):
    """As Multiboot's loaders take it that know no ELF: addresses in the header, which has room for them."""
    flat = folder / "flat"
    subprocess.run(["objcopy", "-O", "binary", "-R", ".note.*", elf, flat], check=True)
    code = bytearray(flat.read_bytes())
    symbols = subprocess.run(["nm", elf], capture_output=True, text=True, check=True).stdout
    address = {name: int(value, 16) for value, name in re.findall(r"^(\w+) \w (\w+)$", symbols, re.M)}
    flags, end = 1 << 16, LOADED_AT + len(code)
    code[:32] = struct.pack("<8I", check_bochs.MULTIBOOT_MAGIC, flags, -(check_bochs.MULTIBOOT_MAGIC + flags) & 0xFFFFFFFF,
                            LOADED_AT, LOADED_AT, end, max(address["_end"], end), address["start"])
    flat.write_bytes(code)
    return flat


def main():
    root, compiler, loader, log = sys.argv[1:]
    compiler = compiler.replace("g++", "gcc")
    for settings, harmed in ROWS:
        with tempfile.TemporaryDirectory() as place:
            folder = pathlib.Path(place)
            built = subprocess.run(["make", "-s", "-C", f"{root}/examples/return_alone", f"CC={compiler}",
                                    f"BUILD={folder}", *settings, "elf"], capture_output=True, text=True, check=False)
            if built.returncode != 0:
                print(built.stderr)
                return 1
            (elf,) = folder.glob("*.elf")
            said = check_bochs.run((flat_image(elf, folder), loader, ""), {
                "model": "corei7_sandy_bridge_2600k", "cpus": 1, "ips": check_bochs.INSTRUCTIONS_A_SECOND},
                log, SECONDS, LINE.pattern)
        found = LINE.search(said)
        if not found or (int(found[2]) > 0) != harmed:
            print(f"{' '.join(settings) or 'as it is'}: {'no NMI in an NMI' if harmed else 'not held'}:\n{said[-2000:]}")
            return 1
        print(f"{' '.join(settings)}: {found.group(0)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
