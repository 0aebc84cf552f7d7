# SPDX-License-Identifier: MIT
"""How many instructions an #MC runs, at the most, until a further NMI is held back that could come at an NMI's last IRET.

From the first instruction of the #MC's stub to the store that lowers the IST entry (nmisafe/trap/nmi_boundary.hpp), by
every way that leads there: of a branch the longer one is taken, of a call all of it, of a loop each instruction once. What the controls image asks to take
a defence out counts too, so it is for images without."""

import re

LOWERS = "_ZN7nmisafe4trap8internal13hold_nmi_exitEv"
STUB_SIZE = {"nmisafe_trap_stubs": 16, "nmisafe_user_stubs": 32}
MACHINE_CHECK = 18


class Way:
    """The longest ways in the code."""

    def __init__(self, code, target):
        self.code = {address: (mnemonic, operands) for address, mnemonic, operands in code}
        following = sorted(self.code)
        self.after = dict(zip(following, following[1:]))
        self.target = target
        self.lengths = {}

    def steps(self, address):
        """Where it goes on from an instruction, and the function that it calls before."""
        mnemonic, operands = self.code[address]
        to = re.match(r"(?:0x)?([0-9a-f]+)(?: <|$)", operands)  # 0x: as LLVM writes it
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

    def ends(self, address, to_target):
        """Whether a way may end at an instruction: how much it then takes, None if it may not."""
        if to_target and address == self.target:
            return 0
        called = self.steps(address)[1]
        if to_target and called is not None:
            inside = 0 if called == self.target else self.length(called, True)
            return None if inside is None else 1 + inside
        return 1 if not to_target and self.code[address][0].startswith("ret") else None

    def onward(self, address, to_target):
        """Where it goes on within this function, and what that takes: the instruction, and what it calls."""
        if to_target and address == self.target:
            return [], 0
        steps, called = self.steps(address)
        inside = 0 if called is None else self.function(called)
        return ([], 0) if inside is None else ([to for to in steps if to in self.code], 1 + inside)

    def length(self, begin, to_target):
        """Of the longest way from here to the target, or to a return of this function; None if there is none. What is in
        a loop together counts together, once."""
        if (begin, to_target) in self.lengths or begin not in self.code:
            return self.lengths.get((begin, to_target))
        self.lengths[begin, to_target] = None  # of one that calls itself
        following, order, seen = {}, [], set()
        stack = [(begin, False)]
        while stack:  # each behind all that it leads to, but for loops
            address, is_left = stack.pop()
            if is_left:
                order.append(address)
            elif address not in seen:
                seen.add(address)
                following[address] = self.onward(address, to_target)
                stack.append((address, True))
                stack += [(to, False) for to in following[address][0]]
        before = {address: [] for address in seen}
        for address, (steps, _) in following.items():
            for to in steps:
                before[to].append(address)
        loop_of, loops = {}, []  # of one instruction as a rule; before what they lead to
        for address in reversed(order):
            if address in loop_of:
                continue
            members, stack = [], [address]
            while stack:
                one = stack.pop()
                if one not in loop_of:
                    loop_of[one] = len(loops)
                    members.append(one)
                    stack += before[one]
            loops.append(members)
        longest = {}
        for number in reversed(range(len(loops))):
            members = loops[number]
            ends = [self.ends(one, to_target) for one in members]
            onward = [longest[loop_of[to]] for one in members for to in following[one][0] if loop_of[to] != number]
            inside = sum(following[one][1] for one in members)
            alone = len(members) == 1
            found = [end if alone else end + inside for end in ends if end is not None]
            found += [rest + inside for rest in onward if rest is not None]
            longest[number] = max(found, default=None)
        self.lengths[begin, to_target] = longest[loop_of[begin]]
        return self.lengths[begin, to_target]

    def function(self, begin):
        return self.length(begin, False)


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
