// SPDX-License-Identifier: MIT
// What the clocks of the tests count, and the clocks as they should not be: the controls.
#pragma once

#include "nmisafe/clock/cpu_clock.hpp"

namespace nmisafe::clock {

/// Advances with each reading, at one instruction, as a counter does.
struct test_counter {
    alignas(8) static inline uint64_t now = 0;
    static inline uint64_t step = 1;
    static uint64_t read() { return __sync_add_and_fetch(&now, step); }
};

/// One line, written in place.
struct one_slot_clock {
    conversion line{};
    uint64_t gave_up = 0;

    void start(uint64_t reference, rate guess) { line = {test_counter::read(), reference, guess}; }
    uint64_t read() { return line.at(test_counter::read()); }
    bool update(uint64_t reference) {
        const uint64_t counter = test_counter::read();
        volatile conversion& to = line;
        to.counter = counter;
        to.time = reference;
        return true;
    }
};

/// A sequence lock: who interrupts the update would wait for ever.
struct seqlock_clock {
    uint32_t sequence = 0;
    conversion line{};
    uint64_t gave_up = 0;

    void start(uint64_t reference, rate guess) { line = {test_counter::read(), reference, guess}; }
    uint64_t read() {
        for (unsigned patience = 100; patience != 0; --patience) {
            const uint32_t before = __atomic_load_n(&sequence, __ATOMIC_ACQUIRE);
            const uint64_t time = line.at(test_counter::read());
            if ((before & 1) == 0 && __atomic_load_n(&sequence, __ATOMIC_ACQUIRE) == before)
                return time;
        }
        ++gave_up;
        return line.time;
    }
    bool update(uint64_t reference) {
        __atomic_store_n(&sequence, sequence + 1, __ATOMIC_SEQ_CST);
        line = {test_counter::read(), reference, line.each};
        __atomic_store_n(&sequence, sequence + 1, __ATOMIC_SEQ_CST);
        return true;
    }
};

struct tested_clock : cpu_clock<test_counter> {
    uint64_t gave_up = 0; // it never does
};

} // namespace nmisafe::clock
