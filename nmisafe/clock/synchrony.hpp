// SPDX-License-Identifier: MIT
/// Whether the counters of two CPUs agree, as far as anybody can tell who passes from one to the
/// other. For boot: two CPUs do it together, in threads, and wait for each other.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/clock/cpu_clock.hpp"
#include "nmisafe/x86/registers.hpp"
#include "nmisafe/x86/serialize.hpp"

namespace nmisafe::clock {

enum class synchrony : uint8_t {
    together, ///< No reading was below one that was taken before it.
    apart,    ///< One was: a message would arrive before it was sent.
    alone,    ///< The other CPU did not come, or left. Nothing is known.
};

/// Begins empty for each pair of CPUs.
template <typename Counter = tsc>
class synchrony_check {
  public:
    /// Both CPUs call it, one as side 0 and one as side 1, with the same number of rounds (above
    /// 0). `patience`: how often to look for the other one's turn to end.
    ///
    /// CPUs take turns, so what is between two turns needs no atomic access of 64 bits.
    ///
    /// @context thread, interrupts off @faults never @order release at each end of a turn, acquire
    /// at each begin
    synchrony run(uint32_t side, uint32_t rounds, uint32_t patience) {
        for (uint32_t turn = side; turn < 2 * rounds; turn += 2) {
            if (!wait_for(turn, patience))
                return synchrony::alone;
            x86::serialize_core(); // the counter is not read before the turn has come
            const uint64_t now = Counter::read();
            if (turn != 0 && (now - last_) >> 63 != 0)
                is_apart_ = true;
            last_ = now;
            __atomic_store_n(&turn_, turn + 1, __ATOMIC_RELEASE);
        }
        if (!wait_for(2 * rounds, patience))
            return synchrony::alone;
        return is_apart_ ? synchrony::apart : synchrony::together;
    }

  private:
    bool wait_for(uint32_t turn, uint32_t patience) const {
        for (; patience != 0; --patience) {
            if (__atomic_load_n(&turn_, __ATOMIC_ACQUIRE) == turn)
                return true;
            x86::pause();
        }
        return false;
    }

    uint32_t turn_ = 0;
    bool is_apart_ = false;
    uint64_t last_ = 0;
};

} // namespace nmisafe::clock
