// SPDX-License-Identifier: MIT
/// The ELF structures of relocatable objects, of both classes. [gABI 4, psABI x86-64, psABI i386]
///
/// All of them are packed, so that they may be looked at where they lie in an image, whatever its
/// alignment: reading a member is then legal at any address.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::module_loader::internal {

namespace elf {

inline constexpr uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};
inline constexpr size_t ident_class = 4, ident_data = 5, ident_version = 6, ident_osabi = 7;
inline constexpr uint8_t little_endian = 1, current_version = 1;
inline constexpr uint8_t osabi_none = 0, osabi_gnu = 3;
inline constexpr uint16_t type_relocatable = 1;

/// What clang -flto writes instead of ELF: LLVM's intermediate code, bare or in a wrapper.
inline constexpr uint8_t bitcode_magic[4] = {'B', 'C', 0xc0, 0xde};
inline constexpr uint8_t wrapped_bitcode_magic[4] = {0xde, 0xc0, 0x17, 0x0b};

enum section_type : uint32_t {
    null = 0,
    progbits = 1,
    symtab = 2,
    strtab = 3,
    rela = 4,
    note = 7,
    nobits = 8,
    rel = 9,
    init_array = 14,
    fini_array = 15,
    preinit_array = 16,
    group = 17,
    x86_64_unwind = 0x70000001,
};

enum section_flag : uint32_t {
    write = 0x1,
    alloc = 0x2,
    execinstr = 0x4,
    merge = 0x10,
    strings = 0x20,
    info_link = 0x40,
    link_order = 0x80,
    group_member = 0x200,
    tls = 0x400,
    gnu_retain = 0x200000,
    x86_64_large = 0x10000000,
};

inline constexpr uint32_t group_comdat = 1;

/// What a symbol's section index may say instead of a section: undefined, or a reserved index,
/// which no section of a file has.
inline constexpr uint16_t undefined = 0, first_reserved = 0xff00, absolute = 0xfff1,
                          common = 0xfff2;

enum symbol_binding : uint8_t { local = 0, global = 1, weak = 2, gnu_unique = 10 };
enum symbol_type : uint8_t { no_type = 0, function = 2, thread_local_data = 6, gnu_ifunc = 10 };

} // namespace elf

/// What a relocation does: `size` bytes become what it is of + addend, minus their own address if
/// `relative`.
///
/// The global offset table (GOT) has a slot for each symbol whose address code reads from there.
/// Its begin is what position-independent code counts from.
struct relocation_form {
    enum class range : uint8_t { any, is_unsigned, is_signed };
    enum class subject : uint8_t {
        symbol,
        symbol_from_table, ///< Symbol minus begin of the table.
        slot,              ///< The address of the symbol's slot.
        slot_from_table,   ///< The same, minus begin of the table.
        table,             ///< Begin of the table; whatever the symbol.
    };
    uint8_t size; ///< 0: nothing is written.
    bool relative;
    range fits; ///< How the value must fit into the bytes. any: it is cut off.
    bool known;
    subject of = subject::symbol;

    constexpr bool needs_symbol() const { return size != 0 && of != subject::table; }
    constexpr bool needs_slot() const {
        return of == subject::slot || of == subject::slot_from_table;
    }
};

inline constexpr relocation_form unknown_form{0, false, relocation_form::range::any, false};
inline constexpr relocation_form empty_form{0, false, relocation_form::range::any, true};

/// A 32-bit word of a section group.
struct [[gnu::packed, gnu::may_alias]] elf_word {
    uint32_t value;
};

/// These two are the same in both classes but for the size of a word.
template <typename Word>
struct [[gnu::packed, gnu::may_alias]] elf_header {
    uint8_t ident[16];
    uint16_t type;
    uint16_t machine;
    uint32_t version;
    Word entry;
    Word program_headers;
    Word section_headers;
    uint32_t flags;
    uint16_t header_size;
    uint16_t program_header_size;
    uint16_t program_header_count;
    uint16_t section_header_size;
    uint16_t section_count;
    uint16_t section_names;
};

template <typename Word>
struct [[gnu::packed, gnu::may_alias]] elf_section {
    uint32_t name;
    uint32_t type;
    Word flags;
    Word address;
    Word offset;
    Word size;
    uint32_t link;
    uint32_t info;
    Word alignment;
    Word entry_size;
};

/// x86-64.
struct elf_64 {
    using address = uint64_t;
    using header = elf_header<uint64_t>;
    using section = elf_section<uint64_t>;

    static constexpr uint8_t class_number = 2;
    static constexpr uint16_t machine = 62;
    static constexpr uint32_t relocation_section = elf::rela;

    struct [[gnu::packed, gnu::may_alias]] symbol {
        uint32_t name;
        uint8_t info;
        uint8_t other;
        uint16_t section;
        uint64_t value;
        uint64_t size;
    };
    struct [[gnu::packed, gnu::may_alias]] relocation {
        uint64_t offset;
        uint64_t info;
        uint64_t addend_bits;

        uint32_t symbol() const {
            return static_cast<uint32_t>(info >> 32);
        }
        uint32_t type() const {
            return static_cast<uint32_t>(info);
        }
        /// In two's complement; `place` is where it would stand on the other machine.
        address addend(const uint8_t* place) const {
            static_cast<void>(place);
            return addend_bits;
        }
    };

    /// What a relocation is of may depend on the instruction: here it never does.
    static relocation_form form_at(const relocation& which, const uint8_t*, bool) {
        return form_of(which.type());
    }

    static constexpr relocation_form form_of(uint32_t type) {
        using range = relocation_form::range;
        using subject = relocation_form::subject;
        switch (type) {
        case 0: // R_X86_64_NONE
            return empty_form;
        case 1: // R_X86_64_64
            return {8, false, range::any, true};
        case 2: // R_X86_64_PC32
        case 4: // R_X86_64_PLT32: no PLT here, so the function itself
            return {4, true, range::is_signed, true};
        case 10: // R_X86_64_32
            return {4, false, range::is_unsigned, true};
        case 11: // R_X86_64_32S
            return {4, false, range::is_signed, true};
        case 24: // R_X86_64_PC64
            return {8, true, range::any, true};
        case 3: // R_X86_64_GOT32
            return {4, false, range::is_signed, true, subject::slot_from_table};
        case 9:  // R_X86_64_GOTPCREL
        case 41: // R_X86_64_GOTPCRELX
        case 42: // R_X86_64_REX_GOTPCRELX
            return {4, true, range::is_signed, true, subject::slot};
        case 25: // R_X86_64_GOTOFF64
        case 31: // R_X86_64_PLTOFF64
            return {8, false, range::any, true, subject::symbol_from_table};
        case 26: // R_X86_64_GOTPC32
            return {4, true, range::is_signed, true, subject::table};
        case 27: // R_X86_64_GOT64
        case 30: // R_X86_64_GOTPLT64
            return {8, false, range::any, true, subject::slot_from_table};
        case 28: // R_X86_64_GOTPCREL64
            return {8, true, range::any, true, subject::slot};
        case 29: // R_X86_64_GOTPC64
            return {8, true, range::any, true, subject::table};
        default:
            return unknown_form;
        }
    }
};

/// i386.
struct elf_32 {
    using address = uint32_t;
    using header = elf_header<uint32_t>;
    using section = elf_section<uint32_t>;

    static constexpr uint8_t class_number = 1;
    static constexpr uint16_t machine = 3;
    static constexpr uint32_t relocation_section = elf::rel;

    struct [[gnu::packed, gnu::may_alias]] symbol {
        uint32_t name;
        uint32_t value;
        uint32_t size;
        uint8_t info;
        uint8_t other;
        uint16_t section;
    };
    struct [[gnu::packed, gnu::may_alias]] relocation {
        uint32_t offset;
        uint32_t info;

        uint32_t symbol() const {
            return info >> 8;
        }
        uint32_t type() const {
            return info & 0xff;
        }
        /// Stands in the section itself.
        address addend(const uint8_t* place) const {
            return reinterpret_cast<const elf_word*>(place)->value;
        }
    };

    /// A slot is counted from the begin of the table, by an instruction that has it in a register;
    /// one without a register, as code that has a fixed address may have it, wants the slot's
    /// address. `before`: there is a byte before the place, which then is the ModRM byte. [psABI
    /// i386, R_386_GOT32X]
    static relocation_form form_at(const relocation& which, const uint8_t* place, bool before) {
        relocation_form form = form_of(which.type());
        constexpr uint8_t no_base = 0x05; // mod 0, r/m 5: a displacement and no register
        if (form.of == relocation_form::subject::slot_from_table && before &&
            (place[-1] & 0xc7) == no_base)
            form.of = relocation_form::subject::slot;
        return form;
    }

    /// Values wrap around with the address space, so each fits.
    static constexpr relocation_form form_of(uint32_t type) {
        using range = relocation_form::range;
        using subject = relocation_form::subject;
        switch (type) {
        case 0: // R_386_NONE
            return empty_form;
        case 1: // R_386_32
            return {4, false, range::any, true};
        case 2: // R_386_PC32
        case 4: // R_386_PLT32
            return {4, true, range::any, true};
        case 3:  // R_386_GOT32
        case 43: // R_386_GOT32X
            return {4, false, range::any, true, subject::slot_from_table};
        case 9: // R_386_GOTOFF
            return {4, false, range::any, true, subject::symbol_from_table};
        case 10: // R_386_GOTPC
            return {4, true, range::any, true, subject::table};
        default:
            return unknown_form;
        }
    }
};

static_assert(sizeof(elf_64::header) == 64 && sizeof(elf_32::header) == 52);
static_assert(sizeof(elf_64::section) == 64 && sizeof(elf_32::section) == 40);
static_assert(sizeof(elf_64::symbol) == 24 && sizeof(elf_32::symbol) == 16);
static_assert(sizeof(elf_64::relocation) == 24 && sizeof(elf_32::relocation) == 8);

/// What this program itself is.
using elf_native = std::conditional_t<sizeof(void*) == 8, elf_64, elf_32>;

} // namespace nmisafe::module_loader::internal
