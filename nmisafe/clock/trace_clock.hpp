// SPDX-License-Identifier: MIT
/// The clock of a trace: the TSC where it is good, a cpu_clock elsewhere.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/clock/cpu_clock.hpp"

namespace nmisafe::clock {

/// Decided once, before the first reading: the two have different units.
inline constinit bool tsc_is_good = false;

/// What a tracer is given to read the time by. It refers to the CPU's clock, and is made anew
/// wherever the CPU may have changed.
class trace_clock {
  public:
    explicit constexpr trace_clock(cpu_clock<>& mine) : mine_(mine) {}

    /// @context any @faults never @locks none
    [[NMISAFE_TRAP_INLINE]] uint64_t read() const {
        return tsc_is_good ? x86::read_tsc() : mine_.read();
    }

  private:
    cpu_clock<>& mine_;
};

} // namespace nmisafe::clock
