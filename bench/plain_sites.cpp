// SPDX-License-Identifier: MIT
// The techniques that need no library.
#include "bench/marker_sites.hpp"

namespace nmisafe::bench {

namespace {

template <typename T>
struct alignas(64) own_line {
    T value;
};

template <typename T>
flag_addresses addresses_of(const own_line<T> (&lines)[sites]) {
    flag_addresses all;
    for (unsigned i = 0; i < sites; ++i)
        all[i] = &lines[i];
    return all;
}

own_line<bool> unread[sites]; // evicted where no flag is read
own_line<bool> plain_flags[sites];
own_line<uint32_t> numbers[sites];

/// Of no consequence to the loop but that it may be called.
[[gnu::noinline, gnu::cold]] void hit(uint32_t) {
    asm volatile("");
    ++hits;
}

struct nothing {
    static flag_addresses flags() { return addresses_of(unread); }
    static void round(uint32_t&) {}
    static void first(uint32_t&) {}
};

/// Sixteen links of one chain that never ends.
struct one_cycle_sites : nothing {
    [[gnu::always_inline]] static void round(uint32_t& value) {
#define SITE(number, ...) asm volatile("notl %0" : "+r"(value));
        NMISAFE_BENCH_EACH_SITE(SITE, )
    }
    [[gnu::always_inline]] static void first(uint32_t& value) {
        SITE(0, )
    }
#undef SITE
};

struct plain_flag_sites {
    static flag_addresses flags() { return addresses_of(plain_flags); }
    [[gnu::always_inline]] static void round(uint32_t& value) {
#define SITE(number, ...)                                                                          \
    if (__atomic_load_n(&plain_flags[number].value, __ATOMIC_RELAXED)) [[unlikely]]                \
        hit(value);
        NMISAFE_BENCH_EACH_SITE(SITE, )
    }
    [[gnu::always_inline]] static void first(uint32_t& value) {
        SITE(0, )
    }
#undef SITE
};

bool turn_plain_flags(bool on) {
    for (auto& one : plain_flags)
        __atomic_store_n(&one.value, on, __ATOMIC_RELAXED);
    return true;
}

struct global_load_sites {
    static flag_addresses flags() { return addresses_of(numbers); }
    [[gnu::always_inline]] static void round(uint32_t&) {
#define SITE(number, ...)                                                                          \
    asm volatile("" : : "r"(__atomic_load_n(&numbers[number].value, __ATOMIC_RELAXED)));
        NMISAFE_BENCH_EACH_SITE(SITE, )
    }
    [[gnu::always_inline]] static void first(uint32_t&) {
        SITE(0, )
    }
#undef SITE
};

} // namespace

constinit const technique empty_loop = describe<nothing>("empty");
constinit const technique one_cycle = describe<one_cycle_sites>("one-cycle");
constinit const technique plain_flag = describe<plain_flag_sites>("flag", turn_plain_flags);
constinit const technique global_load = describe<global_load_sites>("load");

} // namespace nmisafe::bench
