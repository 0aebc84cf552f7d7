// SPDX-License-Identifier: MIT
/// Which sections are tables of functions to be called: constructors before the module's init,
/// destructors after its exit.
///
/// The order is the one in which GNU ld puts the tables together and a C library's start code calls
/// them: by the number behind the section's name, its priority, the lowest first, those without a
/// number last; of one priority in the order of the file. The older .ctors number downwards from
/// 65535, and are called from their end on. Destructors are called the other way round.
#pragma once

#include "nmisafe/module_loader/internal/object.hpp"

namespace nmisafe::module_loader::internal {

struct call_table {
    call_kind kind;
    bool from_the_end; ///< The last entry of a section comes first.
    uint32_t priority;
};

inline constexpr uint32_t highest_priority = 65535;
inline constexpr uint32_t no_priority = highest_priority + 1;

/// What follows `family` in `name`: nothing, or `.` and more. Null if the name is another.
inline const char* behind_family(const char* name, const char* family) {
    for (; *family != 0; ++name, ++family)
        if (*name != *family)
            return nullptr;
    return *name == 0 || *name == '.' ? name : nullptr;
}

/// Of what follows a family's name. What is no number, of at most so many digits, is as if it were
/// not there: names may be long, and are looked at often.
inline uint32_t priority_of(const char* suffix) {
    constexpr size_t most_digits = 8;
    if (suffix[0] == 0 || suffix[1] == 0)
        return no_priority;
    uint32_t number = 0;
    for (size_t i = 1; suffix[i] != 0; ++i) {
        if (suffix[i] < '0' || suffix[i] > '9' || i > most_digits)
            return no_priority;
        number = number * 10 + static_cast<uint32_t>(suffix[i] - '0');
    }
    return number <= highest_priority ? number : no_priority;
}

/// Of a section that is loaded.
template <typename Elf>
call_table call_table_of(const object<Elf>& in, uint32_t index) {
    constexpr struct {
        const char* family;
        call_kind kind;
        bool is_old;
    } families[] = {{".init_array", constructors, false},
                    {".fini_array", destructors, false},
                    {".ctors", constructors, true},
                    {".dtors", destructors, true}};
    const char* const name = in.section_name(index);
    for (const auto& one : families) {
        const char* const suffix = behind_family(name, one.family);
        if (suffix == nullptr)
            continue;
        const uint32_t number = priority_of(suffix);
        return {one.kind, one.is_old,
                one.is_old && number != no_priority ? highest_priority - number : number};
    }
    const uint32_t type = in.sections[index].type;
    if (type == elf::init_array || type == elf::fini_array)
        return {type == elf::init_array ? constructors : destructors, false, no_priority};
    return {not_called, false, 0};
}

} // namespace nmisafe::module_loader::internal
