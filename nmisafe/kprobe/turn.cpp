// SPDX-License-Identifier: MIT
#include "nmisafe/kprobe/internal/turn.hpp"

#include "nmisafe/context/count.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/platform/waiting.hpp"

namespace nmisafe::kprobe {

using platform::contract;
using platform::waiting;

namespace {

uint32_t busy; // somebody is at work

/// Whether this is a handler, of a thread's hit or of an NMI's: remove() would wait for that very
/// handler. With one CPU only, may_synchronise() may hold in it, though interrupts are off. The
/// thread stays on its CPU meanwhile: on another one somebody else's handler may be running.
bool is_in_a_handler() {
    context::preempt_disable();
    const auto& mine = contract::this_cpu().in_probe_handler;
    const bool inside = mine[0] != 0 || mine[1] != 0;
    context::preempt_enable_no_resched();
    return inside;
}

} // namespace

probe_error internal::enter() {
    const waiting where = platform::waiting_here();
    if (where == waiting::in_nmi)
        return probe_error::in_nmi;
    if (where != waiting::allowed || is_in_a_handler())
        return probe_error::cannot_synchronise;
    if (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE) != 0)
        return probe_error::busy;
    return probe_error{};
}

void internal::leave() {
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

} // namespace nmisafe::kprobe
