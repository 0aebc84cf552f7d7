# SPDX-License-Identifier: MIT
"""Finds the functions of a linked 64-bit kernel that an indirect branch may go to, and no ENDBR there."""

import re
import struct

ENDBR = "endbr64"

# Whose address is taken, but by no indirect branch that is tracked.
NOT_BRANCHED_TO = (
    "kernel_try_(read|write)$",                       # compared with where a fault came from
    "kernel_leave_task$",                             # the end of a window, printed
    "(refused_site|refused_probe_site|patch_cost_sites)$",  # patched
)

SHT_PROGBITS, SHT_SYMTAB, STT_FUNC = 1, 2, 2
SHF_ALLOC, SHF_EXECINSTR = 2, 4


def sections(file):
    """(kind, flags, index of another section, contents) of each section: ELF64."""
    header = file.read(64)
    begin, = struct.unpack_from("<Q", header, 0x28)
    size, count = struct.unpack_from("<HH", header, 0x3a)
    for number in range(count):
        file.seek(begin + number * size)
        _, kind, flags, _, offset, length, link = struct.unpack_from("<IIQQQQI", file.read(size))
        if kind == 8:  # SHT_NOBITS
            length = 0
        file.seek(offset)
        yield kind, flags, link, file.read(length)


def functions_and_words(image):
    """Functions by their address, and all aligned words of data. Labels within functions are left out: those
    are the compiler's, for jump tables, which are not tracked."""
    functions, words = {}, set()
    with open(image, "rb") as file:
        found = list(sections(file))
    for kind, flags, link, contents in found:
        if kind == SHT_SYMTAB:
            for name, info, _, _, value, _ in struct.iter_unpack("<IBBHQQ", contents):
                if info & 15 == STT_FUNC:
                    end = found[link][3].index(b"\0", name)
                    functions[value] = found[link][3][name:end].decode()
        elif kind == SHT_PROGBITS and flags & SHF_ALLOC and not flags & SHF_EXECINSTR:
            whole = contents[:len(contents) & ~7]
            words.update(word for word, in struct.iter_unpack("<Q", whole))
    return functions, words


def check_indirect_targets(image, code):
    """`code`: every instruction as (address, mnemonic, operands)."""
    functions, words = functions_and_words(image)
    taken = {address: "in data" for address in words if address in functions}
    for address, mnemonic, operands in code:
        for immediate, relative in re.findall(r"\$0x([0-9a-f]+)|# ([0-9a-f]+) <", operands):
            target = int(immediate or relative, 16)
            if mnemonic.startswith(("mov", "lea", "push", "cmov")) and target in functions:
                taken.setdefault(target, f"at {address:#x}")
    begins = {address: mnemonic for address, mnemonic, _ in code}
    checked = 0
    for target, where in sorted(taken.items()):
        if any(re.match(pattern, functions[target]) for pattern in NOT_BRANCHED_TO):
            continue
        checked += 1
        if begins.get(target) != ENDBR:
            yield f"{functions[target]} begins without ENDBR, its address is taken {where}"
    if checked < 50:
        yield f"only {checked} targets of indirect branches found"
