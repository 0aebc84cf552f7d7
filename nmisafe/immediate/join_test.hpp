// SPDX-License-Identifier: MIT
// What a loader would have: code that came later, its table of sites and its keys, on the fake
// platform. The table is made by hand, as x86/record.hpp lays it out.
#pragma once

#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/immediate/join.hpp"

namespace nmisafe::immediate::test {

/// Where things are. What the code is stands in the fake's text.
struct module_image {
    static constexpr size_t code_size = 64;
    static constexpr size_t most_sites = 8;

    alignas(16) uint8_t code[code_size];
    site table[most_sites];
    immediate<bool> flag;          // keys of its own
    immediate<uint32_t, 7> number; // "
    size_t sites;
    site_range range;

    uintptr_t at(size_t offset) const { return reinterpret_cast<uintptr_t>(&code[offset]); }

    /// As the object file has it, and without sites.
    void reset() {
        flag.as_key().bits = 0;
        number.as_key().bits = 7;
        sites = 0;
        range = {};
        range.begin = table;
        range.end = table;
        range.code = {at(0), at(code_size)};
        range.data = {reinterpret_cast<uintptr_t>(&flag), reinterpret_cast<uintptr_t>(&sites)};
    }

    /// Adds a site; of a branch, to `target`.
    void add(size_t offset, uint8_t size, const key& which, size_t target = 0) {
        site& made = table[sites++];
        made = {};
        made.code_offset = distance(at(offset), &made.code_offset);
        made.key_offset = distance(reinterpret_cast<uintptr_t>(&which), &made.key_offset);
        made.size = size;
        if (target != 0) {
            made.kind = site_kind::branch;
            made.target_offset = distance(at(target), &made.target_offset);
        }
        range.end = &table[sites];
    }

    static int32_t distance(uintptr_t to, const int32_t* from) {
        return static_cast<int32_t>(to - reinterpret_cast<uintptr_t>(from));
    }
};

} // namespace nmisafe::immediate::test
