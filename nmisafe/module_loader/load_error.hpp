// SPDX-License-Identifier: MIT
/// Why an object is not loaded, or a module not started, stopped or unloaded.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::module_loader {

/// Of all these only `busy` passes by itself: whoever gets it may try again, as often as it takes.
/// `in_use` and `memory_kept` pass when somebody lets go, the others not without another file or
/// host.
enum class load_error : uint8_t {
    // The call.
    in_nmi = 1,         ///< Asked for in an NMI handler, where nobody may wait for other CPUs.
    cannot_synchronise, ///< The platform cannot reach the other CPUs from here (interrupts off).
    busy,               ///< Another call is at work on the module.
    wrong_state,        ///< load() of what is loaded, start() of what is not, and the like.
    // The file.
    truncated,       ///< A table or a section does not lie within the image.
    not_elf,         ///< It does not begin with ELF's magic number.
    wrong_machine,   ///< Of the other width, the other byte order, or for another CPU.
    not_relocatable, ///< An executable or a shared object, or something else that has been linked.
    bad_header,      ///< Versions, sizes of entries, no section, index of the names.
    too_many_sections, ///< 65,280 and more.
    intermediate_code, ///< For a link-time optimizer: -flto without -ffat-lto-objects.
    too_large,         ///< The image or one segment is larger than `maximum_size`.
    shared_bytes,      ///< Sections or names share bytes of the image: together more than it has.
    // Sections.
    bad_string_table,    ///< Not of that type, empty, or its last byte is not 0.
    bad_name,            ///< A name lies outside its string table.
    bad_alignment,       ///< Not a power of two, or of what is loaded more than `maximum_size`.
    bad_section,         ///< Section 0 is not the null section, or a link leads nowhere.
    unsupported_section, ///< To be loaded, but of a type or with a flag unknown here: TLS, say.
    write_and_execute,   ///< A section that is to be both written and executed.
    bad_constructors,    ///< .preinit_array; or constructors or destructors that are no table.
    mixed_section,       ///< Sections of one name in different segments: no one range has them all.
    bad_group,           ///< A section group's header, or a member that is none.
    // Symbols and relocations.
    bad_symbol_table,       ///< More than one, or its sizes, or its string table.
    bad_symbol,             ///< Section, value, binding; or referred to, but not in memory.
    unsupported_symbol,     ///< Thread-local, or an indirect function; refusal::symbol says which.
    bad_relocation_table,   ///< Its kind, its sizes, its symbol table; or for a section of zeros.
    bad_relocation,         ///< Its place or its symbol lies outside.
    unsupported_relocation, ///< refusal::relocation_type says which.
    undefined_symbol,       ///< refusal::symbol says which.
    relocation_overflow,    ///< The value does not fit: a segment or a symbol is too far away.
    bad_entry_point,        ///< The init or exit function, or a constructor or destructor, is not
                            ///< in code.
    bad_module_name,        ///< Not read-only data, or not terminated within `maximum_name`.
    // What others refuse.
    no_memory,     ///< An area has no room, or the platform no page.
    not_protected, ///< The permission of a segment could not be changed.
    join_refused,  ///< The host's join() returned false.
    init_failed,   ///< The module's init function returned false.
    memory_kept,   ///< Memory could not be given back: call unload() once more.
    in_use,        ///< Somebody holds a use of the module, or, as the host sees it, of its memory:
                   ///< call once more when that is over.
};

/// What was refused, as far as there is more to say. What does not apply is 0.
struct refusal {
    load_error why;
    uint32_t section;         ///< Index of the section, or of the relocation section.
    uint32_t entry;           ///< Index in that section: of the symbol, of the relocation.
    uint32_t relocation_type; ///< As the psABI numbers it.
    const char* symbol;       ///< Name of the symbol, in the image given to load(); or null.
};

} // namespace nmisafe::module_loader
