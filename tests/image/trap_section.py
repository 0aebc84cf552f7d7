# SPDX-License-Identifier: MIT
"""What must be in the section that no probe may touch, and what code in it may refer to."""

import re
import struct

NAME = "nmisafe_trap_text"

# What the library has in it: symbols, those of C++ by what they begin with.
TRAP = ("nmisafe_trap_nmi", "nmisafe_trap_dispatch", "nmisafe_trap_dispatch_page_fault",
        "nmisafe_trap_dispatch_nmi_like", "nmisafe_trap_handle_nmi_like")
LIBRARY_HANDLERS = (
    "_ZN7nmisafe10text_patch17handle_breakpointE", "_ZN7nmisafe6kprobe17handle_breakpointE",
    "_ZN7nmisafe6kprobe16original_addressE", "_ZN7nmisafe7vmalloc12handle_faultE")

# What it may call elsewhere: there the way of a trap ends, so a probe is not hit again and again.
NEVER_RETURN = (
    r"_ZN6kernel5panicE",                            # says why and stops the machine
    r"_ZN16nmisafe_platform5panicE",                 # as the contract has it
    r"_ZN7nmisafe7context11basic_countI\w+E4failE",  # panics: the preempt count is full
)

# Addresses that linkers make: read, not called.
LINKER_MADE = {"__start_" + NAME, "__stop_" + NAME, "_GLOBAL_OFFSET_TABLE_"}

# Lists of places that a tracer patches when it is switched on.
TRACER_TABLES = {"__patchable_function_entries", "__mcount_loc"}


def never_returns(name):
    return any(re.match(pattern, name) for pattern in NEVER_RETURN)


class ElfObject:
    """As much of a relocatable file as is asked for below."""

    SHT_SYMTAB, SHT_RELA, SHT_REL = 2, 4, 9
    SHF_ALLOC, SHF_EXECINSTR = 2, 4
    SHN_UNDEF, SHN_LORESERVE, SHN_XINDEX = 0, 0xff00, 0xffff

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        if self.data[:4] != b"\x7fELF":
            raise ValueError(f"{path}: no ELF file")
        self.wide = self.data[4] == 2
        header = struct.unpack_from("<16xHHIQQQIHHHHHH" if self.wide else "<16xHHIIIIIHHHHHH", self.data)
        offset, size, count, names = header[5], header[10], header[11], header[12]
        self.sections = [self._section(offset + size * i) for i in range(count)]
        strings = self.sections[names]
        for section in self.sections:
            section["name"] = self._string(strings, section["name"])
        self.symbols = [symbol for table in self.sections if table["type"] == self.SHT_SYMTAB
                        for symbol in self._symbols(table, self.sections[table["link"]])]

    def _section(self, at):
        fields = struct.unpack_from("<IIQQQQIIQQ" if self.wide else "<IIIIIIIIII", self.data, at)
        keys = ("name", "type", "flags", "address", "offset", "size", "link", "info", "align", "entry")
        return dict(zip(keys, fields))

    def _string(self, section, at):
        begin = section["offset"] + at
        return self.data[begin:self.data.index(b"\0", begin)].decode()

    def _symbols(self, table, strings):
        for at in range(table["offset"], table["offset"] + table["size"], table["entry"]):
            if self.wide:
                name, info, _, index, value, _ = struct.unpack_from("<IBBHQQ", self.data, at)
            else:
                name, value, _, info, _, index = struct.unpack_from("<IIIBBH", self.data, at)
            yield {"name": self._string(strings, name), "section": index, "value": value,
                   "is_section": info & 15 == 3}

    def relocations(self, name):
        """(offset, type, symbol, addend) of all sections of that name; an addend in the code itself is
        read from there."""
        for section in self.sections:
            if section["type"] not in (self.SHT_RELA, self.SHT_REL):
                continue
            target = self.sections[section["info"]]
            if target["name"] != name:
                continue
            with_addend = section["type"] == self.SHT_RELA
            for at in range(section["offset"], section["offset"] + section["size"], section["entry"]):
                if self.wide:
                    offset, info, addend = struct.unpack_from("<QQq", self.data, at)
                    symbol, kind = info >> 32, info & 0xffffffff
                else:
                    offset, info = struct.unpack_from("<II", self.data, at)
                    symbol, kind = info >> 8, info & 0xff
                    addend = struct.unpack_from(
                        "<i", self.data, at + 8 if with_addend else target["offset"] + offset)[0]
                yield offset, kind, self.symbols[symbol], addend

    def section_of(self, symbol):
        index = symbol["section"]
        return self.sections[index] if self.SHN_UNDEF < index < self.SHN_LORESERVE else None

    def name_of(self, symbol, addend):
        """What a relocation is about: where it names a section only, the function that is there."""
        if not symbol["is_section"]:
            return symbol["name"]
        section = self.section_of(symbol)["name"]
        there = addend + 4  # as seen from the end of a field of 4 bytes, where calls have theirs
        for other in self.symbols:
            if (other["section"] == symbol["section"] and other["value"] == there and
                    not other["is_section"]):
                return other["name"]
        return section


def foreign_references(objects):
    """Each way out of the section, as a sentence: a reference to code elsewhere, or to what is in none of
    the objects."""
    inside, data = set(), set(LINKER_MADE)
    for one in objects:
        for symbol in one.symbols:
            section = one.section_of(symbol)
            if section is not None and section["name"] == NAME:
                inside.add(symbol["name"])
            elif section is not None and not section["flags"] & one.SHF_EXECINSTR:
                data.add(symbol["name"])
    found = set()
    for one in objects:
        for _, _, symbol, addend in one.relocations(NAME):
            section = one.section_of(symbol)
            if section is None and symbol["section"] != one.SHN_UNDEF:
                continue  # an absolute number, or common data
            if section is not None and (section["name"] == NAME or
                                        not section["flags"] & one.SHF_EXECINSTR):
                continue
            name = one.name_of(symbol, addend)
            if section is None and (name in inside or name in data):
                continue
            if not never_returns(name):
                found.add(f"the trap text refers to {name}, where a probe may stand")
        for table in TRACER_TABLES:
            for _, _, symbol, _ in one.relocations(table):
                section = one.section_of(symbol)
                if section is not None and section["name"] == NAME:
                    found.add(f"{table} names a place in the trap text")
    return sorted(found)


def missing(objects, wanted):
    """Those of `wanted` that are not in the section."""
    names = [symbol["name"] for one in objects for symbol in one.symbols
             if (section := one.section_of(symbol)) is not None and section["name"] == NAME]
    for beginning in wanted:
        is_cpp = beginning.startswith("_Z")
        if not any(name == beginning or is_cpp and name.startswith(beginning) for name in names):
            yield f"{beginning} is not in the trap text"
