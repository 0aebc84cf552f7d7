// SPDX-License-Identifier: MIT
#include "kernel/smp/broadcast.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/devices/apic.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

/// The CPUs are counted once, when the request has begun: who is counted later has not yet run
/// anything that could need it (kernel_other_cpu_main()).
void broadcast::ask_all() {
    const uint32_t request = __atomic_add_fetch(&requests_, 1, __ATOMIC_SEQ_CST);
    const uint32_t self = this_cpu().id;
    const uint32_t count = cpu_count();
    for (uint32_t id = 0; id < count; ++id)
        if (id != self)
            send_interrupt(id, static_cast<uint8_t>(interrupt_));
    action_();
    for (uint32_t id = 0; id < count; ++id)
        if (id != self)
            wait_for_answer(id, request);
}

/// The request is read before the action: an answer never covers a later one.
void broadcast::answer() {
    const uint32_t request = __atomic_load_n(&requests_, __ATOMIC_ACQUIRE);
    action_();
    __atomic_store_n(&answered_[this_cpu().id], request, __ATOMIC_RELEASE);
    end_of_interrupt();
}

/// Few PAUSEs: QEMU answers each with a trip through the lock that also serves its devices. But not
/// none: with -icount it is how QEMU comes to run another CPU.
void broadcast::wait_for_answer(uint32_t id, uint32_t request) const {
    while (static_cast<int32_t>(answered(id) - request) < 0) {
        for (unsigned i = 0; i < 100; ++i)
            asm volatile("");
        nmisafe::x86::pause();
    }
}

namespace {

/// Whether this is a handler, or called by one. What it has interrupted may hold a lock, or be one
/// of those that are waited for. #DB and #MC count as NMIs. To be asked with interrupts off.
bool in_handler() {
    const auto& words = this_cpu().nmisafe;
    return nmisafe::context::in_interrupt() || words.nmi_in_progress != 0 ||
           words.nmi_like_in_progress != 0 || words.in_probe_handler[0] != 0 ||
           words.in_probe_handler[1] != 0;
}

} // namespace

bool may_broadcast() {
    if ((nmisafe::x86::read_flags() & X86_FLAGS_IF) != 0)
        return true;
    return cpu_count() == 1 && (!in_handler() || is_removed(defence::refuse));
}

} // namespace kernel
