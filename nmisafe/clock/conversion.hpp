// SPDX-License-Identifier: MIT
/// From the ticks of a counter to time, exactly: products of 96 bits, on both widths without a
/// division or a call of the compiler's library where the clock is read.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

namespace nmisafe::clock {

/// Time per tick, in units of 2^-32.
using rate = uint64_t;

inline constexpr rate rate_of_one = uint64_t{1} << 32;

/// `ticks * each / 2^32`, rounded down, modulo 2^64.
/// @context any
[[NMISAFE_TRAP_INLINE]] constexpr uint64_t scale(uint64_t ticks, rate each) {
#ifdef __x86_64__
    __extension__ using wide = unsigned __int128;
    return static_cast<uint64_t>(static_cast<wide>(ticks) * each >> 32);
#else
    const uint64_t low = ticks & 0xffff'ffff;
    const uint64_t high = ticks >> 32;
    const uint64_t each_low = each & 0xffff'ffff;
    const uint64_t each_high = each >> 32;
    return (low * each_low >> 32) + low * each_high + high * each_low + (high * each_high << 32);
#endif
}

/// The rate by which `ticks` become `time`, rounded down; the highest there is if it has no room,
/// as with no ticks at all. By shifts: a division of 64 bits would be a call on x86-32.
/// @context any, but it takes its time: up to 96 rounds
constexpr rate rate_of(uint64_t time, uint64_t ticks) {
    const auto digits = 32 + static_cast<unsigned>(std::bit_width(time)); // of time * 2^32
    uint64_t remainder = 0;
    rate quotient = 0;
    if (ticks == 0)
        return ~rate{0};
    for (unsigned i = digits; i-- != 0;) {
        const bool digit = i >= 32 && (time >> (i - 32) & 1) != 0;
        const bool carry = remainder >> 63 != 0;
        remainder = remainder << 1 | digit;
        const bool fits = carry || remainder >= ticks;
        if (fits)
            remainder -= ticks;
        if (quotient >> 63 != 0)
            return ~rate{0};
        quotient = quotient << 1 | fits;
    }
    return quotient;
}

/// How often a counter ticks in a second that passed `ticks` while a clock of `frequency` passed
/// `time`.
/// @context any, as rate_of()
constexpr uint64_t frequency_of(uint64_t ticks, uint64_t time, uint64_t frequency) {
    return scale(frequency, rate_of(ticks, time));
}

/// Time as a function of a counter: a line through one point.
struct conversion {
    uint64_t counter = 0;
    uint64_t time = 0;
    rate each = 0;

    /// A counter from before the point has the point's time.
    /// @context any
    [[NMISAFE_TRAP_INLINE]] constexpr uint64_t at(uint64_t now) const {
        const uint64_t passed = now - counter;
        return time + (passed >> 63 != 0 ? 0 : scale(passed, each));
    }
};

} // namespace nmisafe::clock
