// SPDX-License-Identifier: MIT
#include "nmisafe/profiler/performance_counter.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace nmisafe;

namespace {

/// The registers of one CPU, as far as they are used, and what they do. [intel/vol3 20.2, 11.5.1]
struct model {
    static constexpr uint32_t masked = 1 << 16;
    static inline x86::cpuid_result about{};
    static inline std::map<uint32_t, uint64_t> msrs;
    static inline uint32_t lvt = masked;
    static inline bool is_real = true; ///< Whether the counter is there at all.
    static inline unsigned nmis = 0;
    static inline unsigned wrong = 0;
    static inline unsigned burst_in = 0; ///< At which access, from 1 on, ...
    static inline uint64_t burst = 0;    ///< ... so many cycles pass.

    static void begin() {
        about = {7U << 24 | 48U << 16 | 4U << 8 | 2U, 0, 0, 0};
        msrs.clear();
        lvt = masked;
        nmis = wrong = 0;
        burst_in = 0;
    }

    static void pass() {
        if (burst_in != 0 && --burst_in == 0)
            run(burst);
    }
    static x86::cpuid_result cpuid(uint32_t leaf) {
        wrong += leaf != 0xa;
        return about;
    }
    static uint64_t read_msr(uint32_t number) {
        pass();
        return msrs[number];
    }
    static void write_msr(uint32_t number, uint64_t value) {
        pass();
        if (number == 0xc1 && !is_real)
            return;
        if (number == 0xc1) // 48 bits, the sign of 32
            msrs[number] = static_cast<uint64_t>(int64_t{static_cast<int32_t>(value)}) & mask;
        else if (number == 0x390)
            msrs[0x38e] &= ~value;
        else
            msrs[number] = value;
    }
    static void write_lvt(uint32_t value) {
        pass();
        lvt = value;
    }

    /// So many cycles of the CPU.
    static void run(uint64_t cycles) {
        constexpr uint64_t cycles_in_both_rings = 0x43003c; // with INT, bit 20
        const bool counts =
            (msrs[0x186] | 1 << 20) == (cycles_in_both_rings | 1 << 20) && (msrs[0x38f] & 1) != 0;
        if (!counts)
            return;
        const uint64_t before = msrs[0xc1];
        msrs[0xc1] = (before + cycles) & mask;
        if (before + cycles <= mask)
            return;
        msrs[0x38e] |= 1;
        if ((msrs[0x186] >> 20 & 1) == 0 || (lvt & masked) != 0)
            return;
        wrong += (lvt >> 8 & 7) != 4; // an NMI's delivery
        lvt |= masked;
        ++nmis;
    }

    static constexpr uint64_t mask = (uint64_t{1} << 48) - 1;
};

using counter = profiler::performance_counter<model>;

} // namespace

TEST_CASE("which CPUs have a counter of cycles") {
    model::begin();
    CHECK(counter::is_there());
    const auto with = [](uint32_t a, uint32_t b) {
        model::about = {a, b, 0, 0};
        return counter::is_there();
    };
    constexpr uint32_t usual = 7U << 24 | 48U << 16 | 4U << 8 | 2U;
    CHECK(with(usual, 0x7e));
    CHECK_FALSE(with(0, 0));                    // QEMU's own CPUs
    CHECK_FALSE(with(usual - 1, 0));            // version 1 has no global registers
    CHECK_FALSE(with(usual & ~0xff00U, 0));     // no counter
    CHECK_FALSE(with(usual & ~(48U << 16), 0)); // too narrow
    CHECK_FALSE(with(usual, 1));                // no cycles
    CHECK_FALSE(with(usual & 0xffffff, 0));     // nothing said of cycles
    CHECK(model::wrong == 0);
}

TEST_CASE("a counter that an emulator offers, and does not have") {
    model::begin();
    CHECK(counter::is_real());
    model::is_real = false;
    model::msrs[0xc1] = 0;
    CHECK(counter::is_there());
    CHECK_FALSE(counter::is_real());
    model::is_real = true;
    model::run(1); // it is off
    CHECK(model::nmis == 0);
}

TEST_CASE("an NMI each period, as long as each is acknowledged") {
    for (const uint32_t period : {1U, 1000U, counter::longest_period}) {
        model::begin();
        counter::start(period);
        for (unsigned i = 1; i <= 10; ++i) {
            model::run(period - 1);
            CHECK(model::nmis == i - 1);
            model::run(1);
            CHECK(model::nmis == i);
            CHECK(counter::acknowledge(period));
            CHECK_FALSE(counter::acknowledge(period)); // another source's NMI
        }
        counter::stop();
        model::run(period);
        model::run(period);
        CHECK(model::nmis == 10);
        CHECK(model::wrong == 0);
    }
}

TEST_CASE("an overflow that is not acknowledged raises no other") {
    model::begin();
    counter::start(10);
    model::run(10);
    model::run(model::mask);
    CHECK(model::nmis == 1);
}

TEST_CASE("a counter that overflows again while it is acknowledged goes on") {
    model::begin();
    counter::start(10);
    model::run(10);
    // While the APIC's entry is masked it raises no NMI.
    for (unsigned access = 1; access <= 5; ++access) {
        model::burst_in = access;
        model::burst = 10;
        CHECK(counter::acknowledge(10));
        CHECK(model::burst_in == 0);
        const unsigned before = model::nmis;
        model::run(10);
        CHECK(model::nmis == before + 1);
    }
    CHECK(model::wrong == 0);
}

TEST_CASE("others' counters stay on") {
    model::begin();
    model::msrs[0x38f] = uint64_t{7} << 32 | 2;
    counter::start(10);
    CHECK(model::msrs[0x38f] == (uint64_t{7} << 32 | 3));
    counter::stop();
    CHECK(model::msrs[0x38f] == (uint64_t{7} << 32 | 3));
}
