// SPDX-License-Identifier: MIT
// The instructions of the sites, each with its entry in the table.
//
// The section's flags, measured with g++ 12, clang 14, ld and lld:
//   ?  puts the entry into the COMDAT group of the function it stands in, if that has one: of an inline
//      function in several files one copy of both stays, or the link would fail.
//   o  binds the entry to the function's section. Without it lld --gc-sections drops the entries of all
//      functions that have no group, silently; with KEEP or the flag R instead, dead functions stay.
// Entries are found by __start_ and __stop_ symbols, which linkers make for a section of such a
// name.
//
// volatile: each read in the source is executed as often as it stands there, and is not hoisted out
// of a loop that waits for a change. The compiler may still copy the asm; each copy has its own
// entry.
#pragma once

#include "nmisafe/base/site_record.h"
#include "nmisafe/base/std.hpp"

namespace nmisafe::immediate::internal {

/// A value of up to 4 bytes, zero-extended: always the 32-bit MOV. One of a byte or of two would
/// keep the rest of the register, and so wait for whatever wrote that.
template <auto& Key, uint32_t Initial>
[[gnu::always_inline]] inline uint32_t read_32() {
    uint32_t word;
    asm volatile(NMISAFE_IMMEDIATE_SITE("movl %[initial], %[word]", "0", "0")
                 : [word] "=r"(word)
                 : [initial] "i"(Initial), [key] NMISAFE_SYMBOL_CONSTRAINT(&Key));
    return word;
}

#ifdef __x86_64__
/// A value of 8 bytes.
template <auto& Key, uint64_t Initial>
[[gnu::always_inline]] inline uint64_t read_64() {
    uint64_t word;
    asm volatile(NMISAFE_IMMEDIATE_SITE("movabsq %[initial], %[word]", "0", "0")
                 : [word] "=r"(word)
                 : [initial] "i"(Initial), [key] NMISAFE_SYMBOL_CONSTRAINT(&Key));
    return word;
}
#endif

/// A jump that is there, or is not.
template <auto& Key, bool Initial>
[[gnu::always_inline]] inline bool branch() {
    if constexpr (Initial)
        asm goto(
            NMISAFE_IMMEDIATE_SITE(".byte 0xe9\n\t.long %l[taken] - . - 4", "%l[taken] - .", "1")
            :
            : [key] NMISAFE_SYMBOL_CONSTRAINT(&Key)
            :
            : taken);
    else
        asm goto(NMISAFE_IMMEDIATE_SITE(NMISAFE_IMMEDIATE_NOP, "%l[taken] - .", "1")
                 :
                 : [key] NMISAFE_SYMBOL_CONSTRAINT(&Key)
                 :
                 : taken);
    return false;
taken:
    return true;
}

} // namespace nmisafe::immediate::internal
