// SPDX-License-Identifier: MIT
// For what the library lets one do at a time and does not wait for.
#pragma once

#include "kernel/threads/thread.hpp"

namespace kernel {

/// Repeats what was refused because somebody else is at work, on another CPU or in a thread that
/// was preempted; other errors are the step's result. @context thread, interrupts and preemption on
template <typename Step>
auto insist(Step step) {
    auto done = step();
    while (!done && done.error() == decltype(done.error())::busy) {
        yield();
        done = step();
    }
    return done;
}

} // namespace kernel
