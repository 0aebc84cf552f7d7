// SPDX-License-Identifier: MIT
// An image with one site, in the fake platform's text, and all sequences of what can be done to it.
#pragma once

#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/immediate/join.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

#include <algorithm>
#include <doctest/doctest.h>
#include <string>
#include <vector>

namespace lifetime {

using fake = nmisafe_platform;
using namespace nmisafe;

inline uintptr_t address_of(const void* what) {
    return reinterpret_cast<uintptr_t>(what);
}

inline constexpr size_t target_at = 16;
inline constexpr size_t slot_at = 32;
inline constexpr size_t code_size = 64;

/// Where the code lies; what it is stands in the fake's text. The table is beside it, in reach.
struct site_image {
    alignas(32) uint8_t code[code_size];
    immediate::site site;

    uintptr_t begin() const { return address_of(code); }

    /// Puts an instruction of 5 bytes there.
    void place(const std::vector<uint8_t>& instruction) const {
        std::vector<uint8_t> text(code_size, 0x90);
        std::copy(instruction.begin(), instruction.end(), text.begin());
        fake::text.place(begin(), text);
    }

    immediate::site_range describe(const immediate::key& which, immediate::site_kind kind,
                                   base::address_range data) {
        const auto distance = [](uintptr_t to, const int32_t& from) {
            return static_cast<int32_t>(to - address_of(&from));
        };
        site = {};
        site.code_offset = distance(begin(), site.code_offset);
        site.key_offset = distance(address_of(&which), site.key_offset);
        if (kind == immediate::site_kind::branch)
            site.target_offset = distance(begin() + target_at, site.target_offset);
        site.size = 5;
        site.kind = kind;
        immediate::site_range range{};
        range.begin = &site;
        range.end = &site + 1;
        range.code = {begin(), begin() + code_size};
        range.data = data;
        return range;
    }

    kprobe::probe make_kprobe() const {
        kprobe::probe made{};
        made.address = made.function = begin();
        made.slot = begin() + slot_at;
        return made;
    }
};

inline uint8_t text_at(uintptr_t address) {
    return fake::text.bytes.at(address - fake::text.begin);
}

/// A CPU at the site: what it executes there, up to the instruction behind or the branch's target.
/// `load` is called with the value of a MOV. @return the instruction pointer then.
template <typename Load>
uintptr_t execute(uintptr_t ip, Load load) {
    for (unsigned steps = 0; steps < 4; ++steps) {
        const auto value = [&](size_t offset) {
            uint32_t word = 0;
            for (size_t i = 0; i < 4; ++i)
                word |= uint32_t{text_at(ip + offset + i)} << 8 * i;
            return word;
        };
        switch (text_at(ip)) {
        case 0xcc: {
            x86::trap_frame frame{};
            frame.ip = ip + 1;
            if (!text_patch::handle_breakpoint(frame) && !kprobe::handle_breakpoint(frame))
                return 0; // nobody's: a kernel would panic
            ip = frame.ip;
            break;
        }
        case 0xe9:
            return ip + 5 + value(1);
        case 0xb8:
            load(value(1));
            ip += 5;
            break;
        case 0x0f:
            return ip + 5;
        default:
            return ip;
        }
    }
    return 0;
}

/// Calls `run(sequence)` for each sequence of so many of the actions, in which each may occur
/// again.
template <typename Run>
void for_each_sequence(const std::string& actions, size_t length, Run run) {
    std::vector<size_t> digits(length, 0);
    for (;;) {
        std::string sequence;
        for (const size_t digit : digits)
            sequence += actions[digit];
        run(sequence);
        size_t at = 0;
        while (at < length && ++digits[at] == actions.size())
            digits[at++] = 0;
        if (at == length)
            return;
    }
}

/// And for each order of all of them.
template <typename Run>
void for_each_order(std::string actions, Run run) {
    std::sort(actions.begin(), actions.end());
    do
        run(actions);
    while (std::next_permutation(actions.begin(), actions.end()));
}

/// A world of its own for each sequence, checked before it and after each of its actions.
template <typename World>
void check_after_each(const std::string& sequence) {
    CAPTURE(sequence);
    World here;
    here.check();
    for (const char each : sequence) {
        here.act(each);
        here.check();
    }
}

} // namespace lifetime
