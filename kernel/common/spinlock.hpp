// SPDX-License-Identifier: MIT
// Mutual exclusion between CPUs, and a stretch of code without interrupts.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

/// Interrupts are off while it lives, and then as they were. NMIs still come.
/// @context any
class interrupts_off {
  public:
    [[gnu::always_inline]] interrupts_off() : flags_(nmisafe::x86::read_flags()) {
        nmisafe::x86::disable_interrupts();
    }
    [[gnu::always_inline]] ~interrupts_off() {
        if ((flags_ & X86_FLAGS_IF) != 0)
            nmisafe::x86::enable_interrupts();
    }
    interrupts_off(const interrupts_off&) = delete;
    interrupts_off& operator=(const interrupts_off&) = delete;

  private:
    uintptr_t flags_;
};

/// @context thread or irq, interrupts off; never NMI, which might interrupt the holder.
class spinlock {
  public:
    bool try_lock() { return __atomic_exchange_n(&held_, 1, __ATOMIC_ACQUIRE) == 0; }
    void lock() {
        while (!try_lock())
            nmisafe::x86::pause();
    }
    void unlock() { __atomic_store_n(&held_, 0, __ATOMIC_RELEASE); }

  private:
    uint32_t held_ = 0;
};

/// Holds a spinlock, with interrupts off, while it lives. @context thread or irq
class locked {
  public:
    explicit locked(spinlock& lock) : lock_(lock) { lock_.lock(); }
    ~locked() { lock_.unlock(); }
    locked(const locked&) = delete;
    locked& operator=(const locked&) = delete;

  private:
    interrupts_off off_;
    spinlock& lock_;
};

} // namespace kernel
