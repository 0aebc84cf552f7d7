// SPDX-License-Identifier: MIT
#include "kernel/threads/mapping_lock.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/common/spinlock.hpp"
#include "kernel/threads/thread.hpp"

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
