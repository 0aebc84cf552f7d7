// SPDX-License-Identifier: MIT
/// A clock of one CPU whose counter may change its rate, or differ from other CPUs' counters.
///
/// Now and then the CPU compares its counter with a reference, and draws a new line from there. Two
/// lines are kept, a latch: the one in use is never written, so whoever interrupts the update reads
/// it, and waits for nothing. (With a seqlock an NMI would wait for the very code it interrupted.)
///
/// Time does not step back, although an NMI may read the old line past the point where the new one
/// begins, and the new one may be flatter: who reads while an update is under way takes the mark of
/// it away, and the update, which can then not be published, begins again at a later point.
///
/// | | read | update |
/// |---|---|---|
/// | read | may interrupt it | may interrupt it |
/// | update | may interrupt it | is refused inside it |
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/clock/conversion.hpp"
#include "nmisafe/x86/local.hpp"
#include "nmisafe/x86/tsc.hpp"

namespace nmisafe::clock {

/// The counter that is usual: any other is a struct with such a function, which may be called in
/// any context and whose values never go down on a CPU.
struct tsc {
    [[NMISAFE_TRAP_INLINE]] static uint64_t read() { return x86::read_tsc(); }
};

/// All of it for the CPU it belongs to alone, with preemption off.
template <typename Counter = tsc>
class cpu_clock {
  public:
    /// Begins at the reference's time, with so much time for each tick: a guess, until there were
    /// two updates. Also after a sleep in which the counter was reset.
    ///
    /// @context thread, interrupts off; whoever interrupts it reads nothing of use
    void start(uint64_t reference, rate guess) {
        measured_ = {Counter::read(), reference, guess};
        lines_[0] = lines_[1] = measured_;
        state_ = 0;
        in_update_ = 0;
    }

    /// The time, in units of the reference, and never less than what was read before on this CPU.
    /// It takes another turn for each update that interrupts it.
    ///
    /// @context any @faults never @locks none
    [[NMISAFE_TRAP_INLINE]] uint64_t read() {
        for (;;) {
            const uint32_t before = __atomic_load_n(&state_, __ATOMIC_RELAXED);
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
            const uint64_t time = in_use(before).at(Counter::read());
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
            const uint32_t after = __atomic_load_n(&state_, __ATOMIC_RELAXED);
            if (((before ^ after) & ~updating) != 0)
                continue;
            if ((after & updating) != 0) // it goes on only when this one has returned
                __atomic_store_n(&state_, after & ~updating, __ATOMIC_RELAXED);
            return time;
        }
    }

    /// To be called often enough for the counter's changes, such as once a tick: a clock that lags
    /// behind the reference is put forward at once, one that is ahead goes slower, down to half the
    /// speed.
    ///
    /// @return false: nothing has changed, because this interrupts an update, because the reference
    /// went back, or because at each of four attempts an NMI read the clock. The next one makes it
    /// good.
    /// @context any but NMI @faults never @locks none
    bool update(uint64_t reference) {
        // A word of its own: the mark in state_ is gone once somebody has read the clock.
        if (__atomic_load_n(&in_update_, __ATOMIC_RELAXED) != 0)
            return false;
        __atomic_store_n(&in_update_, 1, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        const bool is_good = update_alone(reference);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        __atomic_store_n(&in_update_, 0, __ATOMIC_RELAXED);
        return is_good;
    }

  private:
    static constexpr uint32_t updating = 1;
    static constexpr uint32_t generation = 2; // its lowest bit says which line is in use

    bool update_alone(uint64_t reference) {
        if ((reference - measured_.time) >> 63 != 0)
            return false;
        if (reference == measured_.time) // it is coarser than the updates, and says nothing new
            return true;
        const uint32_t before = __atomic_load_n(&state_, __ATOMIC_RELAXED);
        for (unsigned attempt = 0; attempt < 4; ++attempt) {
            __atomic_store_n(&state_, before | updating, __ATOMIC_RELAXED);
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
            const conversion next = line_from(Counter::read(), reference, in_use(before));
            in_use(before + generation) = next;
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
            if (x86::compare_exchange(state_, before | updating, before + generation) ==
                (before | updating)) {
                measured_ = {next.counter, reference, next.each};
                return true;
            }
        }
        return false;
    }

    [[NMISAFE_TRAP_INLINE]] conversion& in_use(uint32_t state) {
        return lines_[(state & generation) != 0];
    }

    conversion line_from(uint64_t counter, uint64_t reference, const conversion& line) const {
        const uint64_t now = line.at(counter);
        const uint64_t ticks = counter - measured_.counter;
        const uint64_t passed = reference - measured_.time;
        const bool lags = reference >= now;
        const uint64_t ahead = lags ? 0 : now - reference;
        const uint64_t wanted = ahead < passed / 2 ? passed - ahead : passed - passed / 2;
        return {counter, lags ? reference : now, ticks == 0 ? 0 : rate_of(wanted, ticks)};
    }

    uint32_t state_ = 0;
    uint32_t in_update_ = 0;
    conversion lines_[2]{};
    conversion measured_{}; // the counter and the reference at the last update
};

} // namespace nmisafe::clock
