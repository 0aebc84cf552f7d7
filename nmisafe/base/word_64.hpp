// SPDX-License-Identifier: MIT
/// A word of 64 bits that is published when all it speaks of is there. x86-32 has no access to 64 bits
/// at once without a call or the FPU, so it is two: the low half, which is 0 before, or after, is
/// stored last and loaded first.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::base {

namespace internal {

struct [[gnu::may_alias]] halves {
    uint32_t low;
    uint32_t high;
};

} // namespace internal

/// @context any @order release
inline void publish_64(uint64_t& word, uint64_t value) {
    auto& to = reinterpret_cast<internal::halves&>(word);
    __atomic_store_n(&to.high, static_cast<uint32_t>(value >> 32), __ATOMIC_RELAXED);
    __atomic_store_n(&to.low, static_cast<uint32_t>(value), __ATOMIC_RELEASE);
}

/// @context any @order acquire
inline uint64_t load_64(const uint64_t& word) {
    const auto& from = reinterpret_cast<const internal::halves&>(word);
    const uint32_t low = __atomic_load_n(&from.low, __ATOMIC_ACQUIRE);
    return uint64_t{__atomic_load_n(&from.high, __ATOMIC_RELAXED)} << 32 | low;
}

} // namespace nmisafe::base
