// SPDX-License-Identifier: MIT
/// The embedding kernel of the host unit tests: one CPU, every optional hook, all calls recorded.
///
/// Hosted code, for tests only. It is single-threaded; a test begins with reset().
#pragma once

#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include "nmisafe/platform/return_image.hpp"

#include <string>
#include <vector>

namespace nmisafe::platform::fake {

enum class call {
    lock_checker_off,
    add_preempt_count,
    irq_enter_accounting,
    irq_exit_accounting,
    lock_checker_on,
};

/// One call and the preempt count as it was when the call was over.
struct record {
    call what;
    uint32_t count;
    bool operator==(const record&) const = default;
};

/// What panic() throws here: the one way out that lets a test go on.
struct panicked {
    std::string what;
    uintptr_t value;
    const x86::trap_frame* frame;
};

} // namespace nmisafe::platform::fake

struct nmisafe_platform {
    using call = nmisafe::platform::fake::call;

    static inline uint32_t count = 0;
    static inline nmisafe::platform::cpu_state cpu{};
    static inline std::vector<nmisafe::platform::fake::record> calls;
    static inline std::vector<nmisafe::platform::return_image> returns;

    static void reset(uint32_t start = 0) {
        count = start;
        cpu = {};
        calls.clear();
        returns.clear();
    }

    static uint32_t preempt_count() { return count; }
    static void add_preempt_count(uint32_t delta) {
        count += delta;
        note(call::add_preempt_count);
    }
    static nmisafe::platform::cpu_state& this_cpu() { return cpu; }
    [[noreturn]] static void panic(const nmisafe::platform::failure& why) {
        throw nmisafe::platform::fake::panicked{why.what, why.value, why.frame};
    }

    static void lock_checker_off() { note(call::lock_checker_off); }
    static void lock_checker_on() { note(call::lock_checker_on); }
    static void irq_enter_accounting() { note(call::irq_enter_accounting); }
    static void irq_exit_accounting() { note(call::irq_exit_accounting); }
    static void capture_return(const nmisafe::platform::return_image& image) {
        returns.push_back(image);
    }

  private:
    static void note(call what) { calls.push_back({what, count}); }
};
