// SPDX-License-Identifier: MIT
// The loops that marker_bench times: rounds of sites, a site being a place in the code that asks
// whether it is on. A technique is a way to ask.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <x86intrin.h>

namespace nmisafe::bench {

inline constexpr unsigned sites = 16; ///< In a round, each with a flag of its own.

/// SITE(number, ...) for each. Statements want literal names, so it takes macros to write them.
#define NMISAFE_BENCH_EACH_SITE(SITE, ...)                                                         \
    NMISAFE_BENCH_FOUR_SITES(SITE, 0, 1, 2, 3, __VA_ARGS__)                                        \
    NMISAFE_BENCH_FOUR_SITES(SITE, 4, 5, 6, 7, __VA_ARGS__)                                        \
    NMISAFE_BENCH_FOUR_SITES(SITE, 8, 9, 10, 11, __VA_ARGS__)                                      \
    NMISAFE_BENCH_FOUR_SITES(SITE, 12, 13, 14, 15, __VA_ARGS__)
#define NMISAFE_BENCH_FOUR_SITES(SITE, a, b, c, d, ...)                                            \
    SITE(a, __VA_ARGS__) SITE(b, __VA_ARGS__) SITE(c, __VA_ARGS__) SITE(d, __VA_ARGS__)

/// The same loop stands at so many places, 16 bytes apart relative to a cache line. A figure is the
/// mean of them, so no technique has a better place than another.
inline constexpr unsigned places = 4;

/// Where a technique's flags are; what is evicted. Also the empty loop has some.
using flag_addresses = std::array<const void*, sites>;

using hot_loop = void(uint64_t rounds);
/// @return TSC ticks of the sites alone.
using cold_loop = uint64_t(uint64_t rounds, const flag_addresses& flags);

struct technique {
    const char* name;
    std::array<hot_loop*, places> hot;
    std::array<cold_loop*, places> cold;
    std::array<cold_loop*, places> alone; ///< As cold, but a round is the first site only.
    flag_addresses (*flags)();
    /// Turns all its sites on, each then adding 1 to `hits`, or off. Null: cannot be turned on.
    /// @return whether all went well.
    bool (*turn)(bool on);
};

inline uint64_t hits;

/// Brings the flags into the cache first: what a flush finds does not depend on whether the sites
/// read them.
inline void evict(const flag_addresses& flags) {
    for (const void* flag : flags)
        static_cast<void>(*static_cast<const volatile unsigned char*>(flag));
    _mm_mfence();
    for (const void* flag : flags)
        _mm_clflush(flag);
    _mm_mfence();
}

/// With all loads before it done, and none after it begun.
[[gnu::always_inline]] inline uint64_t ticks() {
    _mm_lfence();
    const uint64_t now = __rdtsc();
    _mm_lfence();
    return now;
}

template <unsigned Place>
[[gnu::always_inline]] inline void move_to_place() {
    if constexpr (Place != 0)
        asm volatile(".skip %c[bytes], 0x90" : : [bytes] "i"(16 * Place)); // NOPs, once a call
}

/// `value` is the statements' argument, and goes from round to round in a register.
template <typename Technique, unsigned Place>
[[gnu::noinline, gnu::aligned(64)]] void run_hot(uint64_t rounds) {
    auto value = static_cast<uint32_t>(rounds);
    move_to_place<Place>();
    do {
        Technique::round(value);
        asm volatile("" : : : "memory");
    } while (--rounds != 0);
}

/// The code stays in the cache; only the flags leave it before each round.
template <typename Technique, unsigned Place, bool Alone>
[[gnu::noinline, gnu::aligned(64)]] uint64_t run_cold(uint64_t rounds,
                                                      const flag_addresses& flags) {
    uint64_t total = 0;
    auto value = static_cast<uint32_t>(rounds);
    move_to_place<Place>();
    do {
        evict(flags);
        const uint64_t begin = ticks();
        if constexpr (Alone)
            Technique::first(value);
        else
            Technique::round(value);
        total += ticks() - begin;
    } while (--rounds != 0);
    return total;
}

template <typename Technique>
constexpr technique describe(const char* name, bool (*turn)(bool) = nullptr) {
    return [&]<unsigned... Place>(std::integer_sequence<unsigned, Place...>) {
        return technique{name,
                         {run_hot<Technique, Place>...},
                         {run_cold<Technique, Place, false>...},
                         {run_cold<Technique, Place, true>...},
                         Technique::flags,
                         turn};
    }
    (std::make_integer_sequence<unsigned, places>{});
}

} // namespace nmisafe::bench
