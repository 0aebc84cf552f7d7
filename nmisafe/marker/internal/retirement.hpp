// SPDX-License-Identifier: MIT
// When what hits may still be looking at is its owner's again.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::marker::internal {

/// Grace periods, counted by synchronise().
struct grace_periods {
    uint32_t begun;
    uint32_t passed; // the latest that is over
};
extern grace_periods periods;

/// Of something that was taken out of a list: a hit that stood on it goes on from there. It is over
/// when a grace period has passed that began afterwards. @context thread, all of it
class retirement {
  public:
    /// What is retired has been taken out. The fence: whoever begins a grace period that this does
    /// not count has that store before it; a plain load could come before it.
    void begin() {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        retired_ = true;
        at_ = __atomic_load_n(&periods.begun, __ATOMIC_SEQ_CST);
    }
    void end() { retired_ = false; }

    bool is_under_way() const {
        const uint32_t passed = __atomic_load_n(&periods.passed, __ATOMIC_ACQUIRE);
        return retired_ && static_cast<int32_t>(passed - at_) <= 0;
    }

  private:
    bool retired_ = false;
    uint32_t at_ = 0;
};

} // namespace nmisafe::marker::internal
