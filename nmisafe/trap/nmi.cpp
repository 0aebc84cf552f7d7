// SPDX-License-Identifier: MIT
// The C++ side of the NMI: whatever the handler does, the interrupted code finds CR2 and DR7 as
// they were, even if it was itself on its way to read them.
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/entry_calls.hpp"
#include "nmisafe/trap/shadow.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/local.hpp"
#include "nmisafe/x86/registers.hpp"

#ifdef __i386__
extern "C" uint16_t nmisafe_trap_percpu_selector;
uint16_t nmisafe_trap_percpu_selector = 0;
#endif

namespace nmisafe::trap {

namespace {

using platform::contract;

nmi_handler on_nmi;

/// Breakpoints are disarmed inside an NMI: a hit would be a #DB on the IST of a #DB that the NMI
/// may have interrupted, over its frame. With none armed no RF matters either, so page faults
/// inside the NMI stay on the safe return.
[[gnu::cold, gnu::noinline, NMISAFE_TRAP_TEXT]] void disarm_breakpoints(platform::cpu_state& cpu) {
    x86::write_dr7(X86_DR7_DISARMED);
    cpu.debug_control = X86_DR7_DISARMED;
}

/// The handler may have armed something: off with it first, and DR7 last, so that the shadow never
/// says "none armed" while one is.
[[gnu::cold, gnu::noinline, NMISAFE_TRAP_TEXT]] void
restore_debug_control(platform::cpu_state& cpu, uintptr_t shadow, uintptr_t control) {
    x86::write_dr7(X86_DR7_DISARMED);
    cpu.debug_control = shadow;
    x86::write_dr7(control);
}

} // namespace

void set_nmi_handler(nmi_handler function) {
    __atomic_store_n(&on_nmi, function, __ATOMIC_RELEASE);
}

void set_debug_control(uintptr_t value) {
    auto& cpu = contract::this_cpu();
    // An NMI between two of these lines sees a shadow that has at least what DR7 has.
    cpu.debug_control |= value;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    x86::write_dr7(value);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    cpu.debug_control = value;
}

#ifdef __i386__
void set_percpu_selector(uint16_t selector) {
    nmisafe_trap_percpu_selector = selector;
}
#endif

/// Called by entry_x86_*.S on the NMI stack, GS the kernel's, NMIs blocked. @context nmi.
///
/// The order is that of the RFC: what the interrupted code owns is saved first, the count covers
/// the handler, everything is undone in reverse. A trap before nmi_enter() or after nmi_exit() does
/// no harm either: no return looks at the count unless the policy is far_nmi_count.
extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] void
nmisafe_trap_nmi(x86::trap_frame* frame) {
    auto& cpu = contract::this_cpu();
    x86::increment(cpu.nmi_in_progress);
    const uintptr_t cr2 = x86::read_cr2();
    const uintptr_t control = x86::read_dr7();
    const uintptr_t shadow = cpu.debug_control;
    // The shadow may say "armed" a moment before DR7 does: then too no RF may matter in here.
    const bool armed = ((control | shadow) & X86_DR7_ENABLE_ALL) != 0;
    if (armed && defended(NMISAFE_WITHOUT_DR7)) [[unlikely]]
        disarm_breakpoints(cpu);
    context::nmi_enter();

    const nmi_handler function = on_nmi;
    if (function == nullptr) [[unlikely]]
        contract::panic({.what = "unexpected NMI", .frame = frame, .value = 0});
    function(*frame);

    context::nmi_exit();
    leave_interrupt_shadow(*frame);
    if ((armed || x86::read_dr7() != control) && defended(NMISAFE_WITHOUT_DR7)) [[unlikely]]
        restore_debug_control(cpu, shadow, control);
    // Writing CR2 costs more than reading it, and few NMIs fault.
    if (x86::read_cr2() != cr2 && defended(NMISAFE_WITHOUT_CR2)) [[unlikely]]
        x86::write_cr2(cr2);
    x86::decrement(cpu.nmi_in_progress);
}

} // namespace nmisafe::trap
