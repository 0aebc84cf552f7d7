#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Looks into a linked kernel for what the sources promise.

  - The library has two IRETs: the NMI's own, and the one for images that are not plain.
  - Every STI of a return stands directly before the return instruction it is to shadow.
  - Capture and controls leave nothing behind in an image that was built without them (and are there in
    one built with them, or this test would prove nothing).
  - Each stub pushes an error code of 0 exactly where the CPU pushes none.
  - What runs between a trap and its handler is in the section that no probe may touch, and so is
    the handler of vmalloc's page faults, with what it calls.
  - No SSE, MMX or x87 instruction, no static constructor, no guard variable.
"""

import argparse
import re
import subprocess
import sys

TRAP_SECTION = ("__start_nmisafe_trap_text", "__stop_nmisafe_trap_text")


def symbols(nm, image):
    table = {}
    for line in subprocess.check_output([nm, image], text=True).splitlines():
        words = line.split()
        if len(words) == 3:
            table[words[2]] = int(words[0], 16)
    return table


def instructions(objdump, image):
    """Every instruction as (address, mnemonic, operands)."""
    text = subprocess.check_output(
        [objdump, "-d", "--no-show-raw-insn", "-j", ".text", image], text=True)
    for line in text.splitlines():
        match = re.match(r"\s*([0-9a-f]+):\s+(\S+)\s*(.*)", line)
        if match:
            yield int(match[1], 16), match[2], match[3]


def main():
    parser = argparse.ArgumentParser()
    for option in ("nm", "objdump", "variant"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("image")
    options = parser.parse_args()
    failures = []

    table = symbols(options.nm, options.image)
    code = list(instructions(options.objdump, options.image))
    if len(code) < 1000:
        failures.append(f"only {len(code)} instructions found")

    begin, end = (table[name] for name in TRAP_SECTION)
    trap = [entry for entry in code if begin <= entry[0] < end]
    irets = [address for address, mnemonic, _ in trap if mnemonic.startswith("iret")]
    if len(irets) != 2 or table["nmisafe_trap_nmi_iret"] not in irets:
        failures.append(f"IRETs in the library: {[hex(a) for a in irets]}")

    shadowed = {table["nmisafe_trap_near_shadowed"], table["nmisafe_trap_far_shadowed"]}
    after_sti = {trap[i + 1][0] for i, entry in enumerate(trap[:-1]) if entry[1] == "sti"}
    if after_sti != shadowed:
        failures.append(f"behind STI: {after_sti}, the labels say {shadowed}")
    for address, mnemonic, _ in trap:
        if address in shadowed and not re.match(r"l?ret", mnemonic):
            failures.append(f"{mnemonic} behind an STI at {address:#x}")

    for symbol in ("nmisafe_trap_removed", "nmisafe_trap_captured",
                   "_ZN6kernel16removed_defencesE"):
        if (symbol in table) != (options.variant == "-controls"):
            failures.append(f"{symbol} is {'' if symbol in table else 'not '}in this image")

    # A policy chosen at build time leaves no word to choose it with.
    choosable = any("boot_policy" in name for name in table)
    if choosable == (options.variant == "-near"):
        failures.append(f"the boot-time policy is {'' if choosable else 'not '}in this image")

    stubs = {entry[0]: entry for entry in trap}
    for vector in range(256):
        address, mnemonic, operands = stubs[table["nmisafe_trap_stubs"] + 16 * vector]
        pushes_own_code = vector >= 32 or vector not in (8, 10, 11, 12, 13, 14, 17, 21, 29, 30)
        if not mnemonic.startswith("push") or (int(operands[1:], 16) == 0) != pushes_own_code:
            failures.append(f"stub {vector} begins with {mnemonic} {operands}")

    for name in ("nmisafe_trap_nmi", "nmisafe_trap_dispatch", "nmisafe_trap_dispatch_page_fault",
                 "nmisafe_trap_dispatch_nmi_like"):
        if not begin <= table[name] < end:
            failures.append(f"{name} is outside the section no probe may touch")

    # A probe on what a vmalloc fault calls, whose handler faults, would never come to an end.
    handler = next(name for name in table if name.startswith("_ZN7nmisafe7vmalloc12handle_fault"))
    ends = sorted(address for address in table.values() if address > table[handler])
    inside = [entry for entry in code if table[handler] <= entry[0] < ends[0]]
    calls = [int(operands.split()[0], 16) for _, mnemonic, operands in inside
             if mnemonic.startswith("call")]
    if not begin <= table[handler] < end or any(not begin <= call < end for call in calls):
        failures.append(f"{handler} is outside the section no probe may touch, or calls there")

    # Each near return gives itself an entry of the return stack buffer: a call over UD2.
    if sum(mnemonic == "ud2" for _, mnemonic, _ in trap) < 2:
        failures.append("the near returns are not balanced")

    for address, mnemonic, operands in code:
        if re.search(r"%[xyz]mm|%st|%mm[0-7]", operands) or re.match(r"f[a-z]", mnemonic):
            failures.append(f"{address:#x}: {mnemonic} {operands}")
    for name in table:
        if re.match(r"_GLOBAL__sub_I|__cxa_|_ZGV", name):
            failures.append(f"symbol {name}")

    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{len(code)} instructions, {len(trap)} of them in the library's trap text")
    return 1 if failures else 0


sys.exit(main())
