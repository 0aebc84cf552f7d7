// SPDX-License-Identifier: MIT
/// A test and a thread of its own that does the same again and again. Hosted code, for tests only.
#pragma once

#include <sched.h>

namespace nmisafe::platform::hosted {

template <typename Condition>
void wait_until(Condition condition) {
    while (!condition())
        sched_yield();
}

class rounds {
  public:
    // The thread: before a round, and after it.
    bool go_on() const { return !__atomic_load_n(&is_stopped_, __ATOMIC_RELAXED); }
    /// Yields now and then: the test may have to wait for this thread's core, and would wait for
    /// the end of its time slice. So may on_trap(), in the midst of a round.
    void end_one() {
        __atomic_store_n(&ended_, ended_ + 1, __ATOMIC_RELAXED);
        if (ended_ % 64 == 0)
            sched_yield();
    }

    // The test.
    void stop() { __atomic_store_n(&is_stopped_, true, __ATOMIC_RELAXED); }
    /// Returns when a whole round, from beginning to end, has come after the call: the first that
    /// ends may have begun before.
    void wait_for_one() const {
        const unsigned seen = ended();
        wait_until([=, this] { return ended() - seen >= 2; });
    }

  private:
    unsigned ended() const { return __atomic_load_n(&ended_, __ATOMIC_RELAXED); }

    bool is_stopped_ = false;
    unsigned ended_ = 0;
};

} // namespace nmisafe::platform::hosted
