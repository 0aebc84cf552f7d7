#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Looks into a linked kernel for what the sources promise.

  - The library has three IRETs: the NMI's own, and those for images that are not plain, of an NMI nested in
    another and of all others; with user mode also its return, and one that unblocks NMIs where that has
    faulted.
  - On x86-64 the NMI's first instruction lowers the IST entry; an #MC does so again, where it has interrupted the last
    IRET, within as many instructions as docs/caveats.md says.
  - Every STI of a return stands directly before the return instruction it is to shadow.
  - Capture and controls leave nothing behind in an image that was built without them (and are there in
    one built with them, or this test would prove nothing).
  - Each stub pushes an error code of 0 exactly where the CPU pushes none.
  - What runs between a trap and its handler is in the section that no probe may touch, and so are the
    handlers of breakpoints and of vmalloc's page faults. No direct call or jump leads out of that section
    but to what never returns. The same holds for what a CPU runs before it has an IDT and is counted.
  - In an image for indirect branch tracking an ENDBR stands at every stub and, x86-64, at the begin of every function
    whose address is in a register, a table or a word, so that a branch may lead there.
  - A page fault's C++ side reads CR2 first of all. In an image for SMAP a CLAC stands on each way from an entry of
    user mode.
  - No SSE, MMX or x87 instruction, no static constructor, no guard variable.
"""

import argparse
import bisect
import re
import subprocess
import sys

from entry_order import late_cr2, without_clac
from indirect_targets import check_indirect_targets
from machine_check_way import machine_check_ways
from trap_section import LIBRARY_HANDLERS, NEVER_RETURN, TRAP

TRAP_SECTION = ("__start_nmisafe_trap_text", "__stop_nmisafe_trap_text")

# What must be in that section beside the library's code: symbols, those of C++ by what they begin with.
HANDLERS = LIBRARY_HANDLERS + (
    "_ZN6kernel17handle_lazy_faultE", "_ZN6kernel18resolve_lazy_faultE",
    "_ZN6kernel21on_patched_breakpointE")

# Instructions until then, at the most: g++ 12 has 71 and 152, clang 14 has 82 and 169.
MACHINE_CHECK_WAY = {"nmisafe_trap_stubs": 90, "nmisafe_user_stubs": 180}

# What a CPU runs before it is one of all, and where it goes on.
JOIN_SECTION = ("kernel_join_begin", "kernel_join_end")
JOIN = (
    "kernel_other_cpu_main", "_ZN6kernel22load_descriptor_tablesE",
    "_ZN6kernel8internal22load_segments_and_taskE", "_ZN6kernel8internal24interrupt_table_registerE",
    "_ZN6kernel17set_up_no_executeE", "_ZN6kernel17set_up_local_apicE", "_ZN6kernel17join_running_cpusE")
JOINED = (r"kernel_joined$",)

ENDBR = ("endbr64", "endbr32")
DIRECT_BRANCH = re.compile(r"\b(?:call|j|loop)\w*(?:,p[nt])?\s+(?:0x)?([0-9a-f]+)\s+<")


def symbols(nm, image):
    """Addresses by name, and names by address: local symbols may have one name, others one address."""
    table, names = {}, {}
    for line in subprocess.check_output([nm, image], text=True).splitlines():
        words = line.split()
        if len(words) == 3:
            table[words[2]] = int(words[0], 16)
            names[int(words[0], 16)] = words[2]
    return table, names


def instructions(objdump, image, begin=0):
    """Every instruction from address `begin` on as (address, mnemonic, operands). In front of the kernel's text
    lies what the boot loader reads: addresses, that may read as any instruction."""
    text = subprocess.check_output(
        [objdump, "-d", "--no-show-raw-insn", f"--start-address={begin:#x}", image], text=True)
    for line in text.splitlines():
        match = re.match(r"\s*([0-9a-f]+):\s+(\S+)\s*(.*)", line)
        if match:
            yield int(match[1], 16), match[2], match[3]


def check_section(table, names, code, begin, end, what, never_return):
    """Whether all that a trap (or a CPU that joins) runs is in [begin, end), `what` among it. A probe outside of it is accepted;
    one on the way of a breakpoint, or whose handler faults on the way of a fault, would never come to an
    end."""
    for beginning in what:
        is_cpp = beginning.startswith("_Z")
        found = [name for name in table
                 if name == beginning or is_cpp and name.startswith(beginning)]
        if not found:
            yield f"there is no {beginning}"
        for name in found:
            if not begin <= table[name] < end:
                yield f"{name} is outside the section no probe may touch"

    addresses = sorted(names)
    left_for = {}  # the address outside, and who goes there
    for address, mnemonic, operands in code:
        branch = DIRECT_BRANCH.search(f"{mnemonic} {operands}")
        if begin <= address < end and branch and not begin <= int(branch[1], 16) < end:
            caller = names[addresses[bisect.bisect(addresses, address) - 1]]
            left_for.setdefault(int(branch[1], 16), set()).add(caller)
    if not left_for:
        yield f"nothing is called from the section of {what[0]}"
    for target, callers in sorted(left_for.items()):
        name = names.get(target, hex(target))
        if not any(re.match(pattern, name) for pattern in never_return):
            yield f"{', '.join(sorted(callers))}: calls or jumps to {name}, where a probe may stand"
            continue
        after = addresses[bisect.bisect(addresses, target)]
        if any(target <= address < after and re.match(r"(rep\w* )?i?l?ret", f"{mnemonic} {operands}")
               for address, mnemonic, operands in code):
            yield f"{name} returns"


def open_boundaries(trap, table, entry):
    """Of an NMI's entry, for each level: before how many of its instructions a further NMI's frame would lie over its
    own (docs/caveats.md). The lowering of the IST entry that closes them is a SUB, of each level one; what takes out a
    defence in the controls image is not counted."""
    way = [each for each in trap if each[0] >= table[entry]]
    branch = next(i for i, (_, mnemonic, _) in enumerate(way) if mnemonic.startswith("j") and mnemonic != "jmp"
                  and f"{table['nmisafe_trap_nmi_nested']:x}" in way[i][2])
    way = way[:branch + 1] + [each for each in trap if each[0] >= table["nmisafe_trap_nmi_nested"]]
    controls = {i for i, (_, mnemonic, _) in enumerate(way) if mnemonic.startswith("test")}
    controls |= {i + 1 for i in controls}
    way = [mnemonic for i, (_, mnemonic, _) in enumerate(way) if i not in controls]
    return [i + 1 for i, mnemonic in enumerate(way) if mnemonic.startswith("sub")][:3]


def main():
    parser = argparse.ArgumentParser()
    for option in ("nm", "objdump", "variant"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("image")
    options = parser.parse_args()
    failures = []

    table, names = symbols(options.nm, options.image)
    code = list(instructions(options.objdump, options.image, table.get("kernel_text_begin", 0)))
    if len(code) < 1000:
        failures.append(f"only {len(code)} instructions found")

    begin, end = (table[name] for name in TRAP_SECTION)
    trap = [entry for entry in code if begin <= entry[0] < end]
    irets = [address for address, mnemonic, _ in trap if mnemonic.startswith("iret")]
    wide = any(operands.startswith("%rsp") for _, _, operands in trap)
    named = {table["nmisafe_trap_nmi_iret"], table["nmisafe_trap_nmi_nested_iret"]}
    named |= {table[name] for name in ("nmisafe_user_iret", "nmisafe_user_unblocking_iret",
                                       "nmisafe_user_nmi_iret")
              if name in table}
    # Beside these the one for images that are not plain; and the control that returns without the latch.
    unnamed = 2 if wide and options.variant.startswith("-controls") else 1
    if len(irets) != len(named) + unnamed or not named <= set(irets):
        failures.append(f"IRETs in the library: {[hex(a) for a in irets]}")

    shadowed = {table[name] for name in ("nmisafe_trap_near_shadowed", "nmisafe_trap_far_shadowed",
                                         "nmisafe_user_sysexit") if name in table}
    after_sti = {trap[i + 1][0] for i, entry in enumerate(trap[:-1]) if entry[1] == "sti"}
    if after_sti != shadowed:
        failures.append(f"behind STI: {after_sti}, the labels say {shadowed}")
    for address, mnemonic, _ in trap:
        if address in shadowed and not re.match(r"l?ret|sysexit", mnemonic):
            failures.append(f"{mnemonic} behind an STI at {address:#x}")

    for symbol in ("nmisafe_trap_removed", "nmisafe_trap_captured",
                   "_ZN6kernel16removed_defencesE"):
        expected = options.variant.startswith("-controls") and not (
            symbol == "nmisafe_trap_captured" and "-hardened" in options.variant)
        if (symbol in table) != expected:
            failures.append(f"{symbol} is {'' if symbol in table else 'not '}in this image")

    # A policy chosen at build time leaves no word to choose it with.
    choosable = any("boot_policy" in name for name in table)
    if choosable == (options.variant == "-near"):
        failures.append(f"the boot-time policy is {'' if choosable else 'not '}in this image")

    stubs = {entry[0]: entry for entry in trap}
    first = stubs[table["nmisafe_trap_nmi_entry"]]
    if first[1] in ENDBR:
        first = stubs[first[0] + 4]
    if wide and not (re.match("sub|add", first[1]) and first[2].split("#")[0].rstrip().endswith("(%rsp)")):
        failures.append(f"the NMI's entry begins with {first[1]} {first[2]}")
    if wide:
        # Those with ENDBR have shadow stacks, whose table moves on too.
        expected = [2, 6, 10] if options.variant.endswith("-cet") else [1, 4, 7]
        entries = [name for name in ("nmisafe_trap_nmi_entry", "nmisafe_user_nmi_entry") if name in table]
        for entry in entries:
            found = open_boundaries(trap, table, entry)
            if found != expected:
                failures.append(f"boundaries open in {entry}, level by level: {found}, not {expected}")
        if options.variant in ("", "-near"):
            for label, length in machine_check_ways(trap, table).items():
                if length is None or not MACHINE_CHECK_WAY[label] // 2 < length <= MACHINE_CHECK_WAY[label]:
                    failures.append(f"#MC by {label}: {length} instructions until a further NMI is held back")
    sizes = {"nmisafe_trap_stubs": 16, "nmisafe_user_stubs": 32 if wide else 16}
    for name, vector in ((name, vector) for name in sizes if name in table for vector in range(256)):
        if vector == 2:
            continue  # its entry is elsewhere
        begin_of_stub = table[name] + sizes[name] * vector
        address, mnemonic, operands = stubs[begin_of_stub]
        if (mnemonic in ENDBR) != options.variant.endswith("-cet"):
            failures.append(f"stub {vector} of {name} begins with {mnemonic}")
        if mnemonic in ENDBR:
            address, mnemonic, operands = stubs[begin_of_stub + 4]
        if mnemonic == "clac":
            address, mnemonic, operands = stubs[address + 3]
        pushes_own_code = vector >= 32 or vector not in (8, 10, 11, 12, 13, 14, 17, 21, 29, 30)
        if not mnemonic.startswith("push") or (int(operands[1:], 16) == 0) != pushes_own_code:
            failures.append(f"stub {vector} of {name} begins with {mnemonic} {operands}")

    failures += late_cr2(code, table)
    has_clac = any(mnemonic == "clac" for _, mnemonic, _ in trap)
    if has_clac != options.variant.endswith("-hardened-cet"):
        failures.append(f"CLAC is {'' if has_clac else 'not '}in this image")
    if has_clac:
        failures += without_clac(trap, table)

    failures += check_section(table, names, code, begin, end,
                              TRAP if options.variant == "-consumer" else TRAP + HANDLERS, NEVER_RETURN)
    if options.variant != "-consumer":
        begin, end = (table[name] for name in JOIN_SECTION)
        failures += check_section(table, names, code, begin, end, JOIN, JOINED)
        if not (table["kernel_no_probe_begin"] <= begin and end <= table["kernel_no_probe_end"]):
            failures.append("a probe may stand on what a CPU without an IDT runs")

    if wide and options.variant.endswith("-cet"):
        failures += check_indirect_targets(options.image, code)

    # Each near return gives itself an entry of the return stack buffer: a call over UD2.
    if sum(mnemonic == "ud2" for _, mnemonic, _ in trap) < 2:
        failures.append("the near returns are not balanced")

    # Assembly that is 32-bit code in a 64-bit image, read as what it is not.
    boot = range(table.get("kernel_no_probe_begin", 0), table.get("kernel_join_begin", 0))
    for address, mnemonic, operands in code:
        if address in boot:
            continue
        if re.search(r"%[xyz]mm|%st|%mm[0-7]", operands) or re.match(r"f[a-z]", mnemonic):
            failures.append(f"{address:#x}: {mnemonic} {operands}")
    for name in table:
        if re.match(r"_GLOBAL__sub_I|__cxa_|_ZGV", name):
            failures.append(f"symbol {name}")

    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{len(code)} instructions, {len(trap)} of them in the library's trap text")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
