// SPDX-License-Identifier: MIT
#include "kernel/core/mapping_lock.hpp"

#include "kernel/core/controls.hpp"
#include "kernel/core/spinlock.hpp"
#include "kernel/core/thread.hpp"

namespace kernel {

namespace {
spinlock lock;
}

void lock_mappings() {
    preempt_disable();
    if (!is_removed(defence::lock))
        lock.lock();
}

void unlock_mappings() {
    lock.unlock();
    preempt_enable();
}

} // namespace kernel
