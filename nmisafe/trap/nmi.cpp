// SPDX-License-Identifier: MIT
// The C++ side of the NMI: whatever the handler does, the interrupted code finds CR2 as it was,
// even if it was itself on its way to read it, and no breakpoint is hit meanwhile.
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/breakpoints.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/entry_calls.hpp"
#include "nmisafe/trap/handlers.hpp"
#include "nmisafe/trap/nmi_latch.h"
#include "nmisafe/trap/return_plan.hpp"
#include "nmisafe/trap/shadow.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/local.hpp"
#include "nmisafe/x86/registers.hpp"

#ifdef __i386__
extern "C" uint16_t nmisafe_trap_percpu_selector;
uint16_t nmisafe_trap_percpu_selector = 0;
#endif

namespace nmisafe::trap {

namespace internal {
nmi_handler on_nmi;
}

namespace {

using platform::contract;

#ifdef __i386__
static_assert(offsetof(platform::cpu_state, nmi_pending) ==
              offsetof(platform::cpu_state, nmi_latch) + NMI_PENDING);

/// How a nested NMI goes back; nmi_x86_64.S says why not so with RF or IF in the image.
[[NMISAFE_TRAP_INLINE]] inline uintptr_t plan_nested(const x86::trap_frame& frame) {
    constexpr uintptr_t decided = decided_flags | X86_FLAGS_RF | X86_FLAGS_IF;
    return is_plain(frame.flags, frame.cs, x86::read_cs(), decided) &&
                   defended(NMISAFE_WITHOUT_NESTED_RETURN)
               ? NMISAFE_NMI_NESTED
               : NMISAFE_NMI_NESTED_IRET;
}
#endif

} // namespace

void set_debug_control(uintptr_t value) {
    auto& cpu = contract::this_cpu();
    cpu.debug_control = value;
    if (breakpoints_are_off(cpu) && defended(NMISAFE_WITHOUT_DR7))
        return; // the last of the events in progress loads it
    x86::write_dr6(X86_DR6_CLEAR);
    load_debug_control(cpu);
}

#ifdef __i386__
void set_percpu_selector(uint16_t selector) {
    nmisafe_trap_percpu_selector = selector;
}
#endif

/// Called by nmi_x86_*.S on the NMI stack, GS the kernel's, NMIs blocked. @context nmi.
///
/// The order is that of the RFC: what the interrupted code owns is saved first, the count covers
/// the handler, everything is undone in reverse. A trap before nmi_enter() or after nmi_exit() does
/// no harm either: no return looks at the count unless the policy is far_nmi_count.
extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] nmi_result
nmisafe_trap_nmi(x86::trap_frame* frame) {
    auto& cpu = contract::this_cpu();
#ifdef __i386__
    if (cpu.nmi_latch != 0 && defended(NMISAFE_WITHOUT_LATCH)) [[unlikely]] {
        if ((frame->cs & X86_RPL_MASK) != 0)
            contract::panic({.what = "an NMI's handler was left without abandon_nmi()",
                             .frame = frame,
                             .value = 0});
        cpu.nmi_pending = 1;
        return plan_nested(*frame);
    }
    // In this order: one in between is a peer, and leaves nothing pending.
    __atomic_store_n(&cpu.nmi_pending, 0, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&cpu.nmi_latch, 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
#endif
    x86::increment(cpu.nmi_in_progress);
    const uintptr_t cr2 = x86::read_cr2();
    const bool were_armed = disarm_breakpoints();
    context::nmi_enter();

    const nmi_handler function = internal::on_nmi;
    if (function == nullptr) [[unlikely]]
        contract::panic({.what = "unexpected NMI", .frame = frame, .value = 0});
    function(*frame);

    context::nmi_exit();
    leave_interrupt_shadow(*frame);
    // Writing CR2 costs more than reading it, and few NMIs fault.
    if (x86::read_cr2() != cr2 && defended(NMISAFE_WITHOUT_CR2)) [[unlikely]]
        x86::write_cr2(cr2);
    x86::decrement(cpu.nmi_in_progress);
    rearm_breakpoints(cpu, were_armed);
#ifdef __i386__
    return reinterpret_cast<uintptr_t>(&cpu.nmi_latch);
#endif
}

#ifdef __x86_64__
extern "C" [[noreturn, gnu::cold, NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] void
nmisafe_trap_nmi_stop(const x86::trap_frame* frame, uint32_t level) {
    const char* what = "an NMI's frame was overwritten by a nested one's";
    if ((frame->cs & X86_RPL_MASK) != 0)
        what = "an NMI's handler was left without abandon_nmi()";
    else if (level > 2)
        what = "NMIs nested too deep";
    contract::panic({.what = what, .frame = frame, .value = level});
}
#endif

} // namespace nmisafe::trap
