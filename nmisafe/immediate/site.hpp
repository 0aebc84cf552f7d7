// SPDX-License-Identifier: MIT
/// The table of sites: one entry for each place in the program where an immediate value is read.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::immediate {

/// The part of an immediate value that does not depend on its type.
struct key {
    uintptr_t bits; ///< The value, zero-extended: what every site of this key holds.
};

enum class site_kind : uint8_t {
    value = 0,  ///< `mov $imm, reg`
    branch = 1, ///< A 5-byte NOP for 0, `jmp target` for anything else.
};

/// As the assembler writes it (x86/record.hpp). Addresses are relative to the field they stand in,
/// so that the table needs no relocation wherever the program is loaded.
struct site {
    int32_t code_offset;
    int32_t key_offset;
    int32_t target_offset; ///< Of a branch; else 0.
    uint8_t size;
    site_kind kind;
    uint16_t reserved;

    uintptr_t code() const { return resolve(&code_offset); }
    uintptr_t target() const { return resolve(&target_offset); }
    uintptr_t key_address() const { return resolve(&key_offset); }
    bool belongs_to(const key& which) const {
        return key_address() == reinterpret_cast<uintptr_t>(&which);
    }

  private:
    static uintptr_t resolve(const int32_t* offset) {
        return reinterpret_cast<uintptr_t>(offset) + static_cast<uintptr_t>(intptr_t{*offset});
    }
};
static_assert(sizeof(site) == 16 && alignof(site) == 4, "as x86/record.hpp lays it out");

} // namespace nmisafe::immediate
