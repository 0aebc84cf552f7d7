// SPDX-License-Identifier: MIT
/// The descriptions of events in memory, one behind the other, for whoever has nothing but the memory: a
/// host that maps a guest's, a tool with that of a dead machine. It is written while others read it: what
/// lies before `length` never changes.
///
///     entry: | size u32 | id u32 | fields u16 | 0 u16 | name 0 | kind u8, base u8, name 0 | ... | zeros to 4 |
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/ctf/event.hpp"

namespace nmisafe::ctf {

inline constexpr uint32_t table_entry_head = 12;
inline constexpr uint32_t most_fields = 64; ///< Of an event in a table.

/// The bytes that an event takes in a table. @context any
uint32_t table_size(const event& one);

/// Adds an event behind `length`, which is then stored with order release.
/// @return false: it has no room, or more than `most_fields`; nothing has changed
/// @context any; one at a time
bool append(uint8_t* table, uint32_t capacity, uint32_t& length, const event& one);

/// An event of a table whose fields are in room that is given. Names point into the table.
struct found_event {
    uint32_t id;
    const char* name;
    field fields[most_fields];
    uint32_t field_count;

    event as_event() const { return {id, name, fields, field_count}; }
};

/// Reads the entry at `at`, believing nothing of what is in it, and moves behind it.
/// @return false: there is none that is whole, or its names are no identifiers
/// @context any
bool next_event(const uint8_t*& at, const uint8_t* end, found_event& to);

} // namespace nmisafe::ctf
