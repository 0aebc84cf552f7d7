# SPDX-License-Identifier: MIT
"""How many instructions an #MC runs, at the most, until a further NMI is held back that could come at an NMI's last IRET.

From the first instruction of the #MC's stub to the store that lowers the IST entry (nmisafe/trap/nmi_boundary.hpp), by
every way that leads there: of a branch the longer one is taken, of a call all of it. What the controls image asks to take
a defence out counts too, so it is for images without."""

import re

LOWERS = "_ZN7nmisafe4trap8internal13hold_nmi_exitEv"
STUB_SIZE = {"nmisafe_trap_stubs": 16, "nmisafe_user_stubs": 32}
MACHINE_CHECK = 18


class Way:
    """The longest ways in the code, loops taken once."""

    def __init__(self, code, target):
        self.code = {address: (mnemonic, operands) for address, mnemonic, operands in code}
        following = sorted(self.code)
        self.after = dict(zip(following, following[1:]))
        self.target = target
        self.through = {}  # a function: its longest way to a return, None where it has none

    def steps(self, address):
        """Where it goes on from an instruction, and the function that it calls before."""
        mnemonic, operands = self.code[address]
        to = re.match(r"([0-9a-f]+)(?: <|$)", operands)
        to = int(to[1], 16) if to else None
        if mnemonic.startswith("call"):
            return [self.after[address]], to
        if mnemonic.startswith("jmp"):
            return [to] if to else [], None
        if mnemonic.startswith("j"):
            return [to, self.after[address]], None
        if re.match(r"(l|i)?ret|ud2|sysret|hlt", mnemonic):
            return [], None
        return [self.after[address]], None

    def length(self, begin, to_target):
        """Of the longest way from here to the target, or to a return of this function; None if there is none."""
        known, open_ones = {}, set()

        def of(address):
            if to_target and address == self.target:
                return 0
            if address in known:
                return known[address]
            if address in open_ones or address not in self.code:
                return None
            open_ones.add(address)
            onward, called = self.steps(address)
            inside = 0
            found = []
            if called is not None:
                if to_target:
                    found.append(self.length(called, True) if called != self.target else 0)
                inside = self.function(called)
            if not to_target and self.code[address][0].startswith("ret"):
                found.append(0)
            if inside is not None:
                found += [None if rest is None else rest + inside for rest in map(of, onward)]
            open_ones.discard(address)
            found = [each for each in found if each is not None]
            known[address] = max(found) + 1 if found else None
            return known[address]

        return of(begin)

    def function(self, begin):
        if begin not in self.through:
            self.through[begin] = None  # of one that calls itself
            self.through[begin] = self.length(begin, False)
        return self.through[begin]


def machine_check_ways(trap, table):
    """The lengths by the stubs of the module trap and, if they are there, of the module user."""
    target = table[LOWERS]
    lowering = [each for each in trap if each[0] >= target]
    end = next(i for i, (_, mnemonic, _) in enumerate(lowering) if mnemonic.startswith("ret"))
    store = max(i for i, (_, mnemonic, operands) in enumerate(lowering[:end])
                if mnemonic.startswith("mov") and operands.endswith(")") and not operands.startswith("("))
    way = Way(trap, target)
    lengths = {stubs: way.length(table[stubs] + size * MACHINE_CHECK, True)
               for stubs, size in STUB_SIZE.items() if stubs in table}
    return {stubs: None if length is None else length + store + 1 for stubs, length in lengths.items()}
