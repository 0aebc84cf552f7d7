# SPDX-License-Identifier: MIT
"""What an entry does before anything else.

A page fault's C++ side reads CR2 before it calls, branches or touches memory but its stack: whatever else it began
with could fault, be trapped on, or some day hold a probe. With NMISAFE_USER_CLAC a CLAC stands on each way from an
entry of user mode to the first call, the first return, or the module trap; but for a nested NMI, which has interrupted the
handler of another one and runs nothing."""

import re

from machine_check_way import Way

DISPATCHES = ("nmisafe_trap_dispatch_page_fault", "nmisafe_user_dispatch_page_fault")
# On the stack: all that a prologue may write, at -O0 too.
STACK = re.compile(r"-?(0x)?[0-9a-f]*\(%[er](sp|bp)\)")
VECTORS, NMI = 256, 2


def late_cr2(code, table):
    """Failures: of each dispatch of page faults what comes before CR2 is read."""
    place = {entry[0]: number for number, entry in enumerate(code)}
    for name in (name for name in DISPATCHES if name in table):
        for address, mnemonic, operands in code[place[table[name]]:]:
            if "%cr2" in operands:
                break
            in_memory = "(" in operands and not mnemonic.startswith("lea") and not STACK.search(operands)
            absolute = re.search(r"(^|,)\s*(0x)?[0-9a-f]{6,}(\s|,|$)", operands)
            if re.match(r"call|j|int|ret|loop|ud2", mnemonic) or in_memory or absolute:
                yield f"{name}: {mnemonic} {operands} at {address:#x}, and CR2 is not read yet"
                break


def ways_without_clac(way, begin, end):
    """The addresses at which a way from `begin` comes to a call, a return, or out of the module at `end`, without CLAC."""
    seen, left = set(), [begin]
    while left:
        address = left.pop()
        if address in seen:
            continue
        seen.add(address)
        if address not in way.code or address in end:
            yield address
            continue
        mnemonic, _ = way.code[address]
        if mnemonic == "clac":
            continue
        following, called = way.steps(address)
        if called or not following:
            yield address
        else:
            left += following


def without_clac(code, table):
    """Failures: entries of user mode that lead on without a CLAC."""
    way = Way(code, None)
    is_wide = "nmisafe_user_syscall" in table
    size = 32 if is_wide else 16
    entries = {f"stub {vector}": table["nmisafe_user_stubs"] + size * vector for vector in range(VECTORS)}
    names = ("nmisafe_user_syscall", "nmisafe_user_nmi_entry") if is_wide else (
        "nmisafe_user_sysenter", "nmisafe_user_sysenter_stepped")
    entries |= {name: table[name] for name in names}
    # Where all others go on: the module trap's own ways.
    end = {address for name, address in table.items() if re.match(r"nmisafe_trap_\w*(common|lowered|lost|return)$", name)}
    nested = {table["nmisafe_trap_nmi_nested"]} if is_wide else set()
    for name, begin in entries.items():
        for address in ways_without_clac(way, begin, end | nested):
            if address not in nested:
                yield f"{name}: no CLAC until {address:#x}"
