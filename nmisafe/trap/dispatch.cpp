// SPDX-License-Identifier: MIT
// From the entry stubs to the handlers, and the decision how to return.
#include "nmisafe/context/count.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/return_plan.hpp"
#include "nmisafe/trap/shadow.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

#ifdef NMISAFE_TRAP_CONTROLS
uint32_t nmisafe_trap_removed = 0;
#endif

namespace nmisafe::trap {

#ifndef NMISAFE_TRAP_POLICY
return_policy internal::boot_policy = return_policy::near;
#endif

namespace {

using platform::contract;

handler handlers[X86_VECTORS];
page_fault_handler on_page_fault;

[[noreturn, gnu::cold, gnu::noinline]] void stop(const char* what, const x86::trap_frame& frame,
                                                 uintptr_t value) {
    contract::panic({.what = what, .frame = &frame, .value = value});
}

/// An image that is not plain: IRET, counted, with the reason kept for the caller to see.
[[gnu::cold, gnu::noinline]] return_kind return_by_iret(const x86::trap_frame& frame,
                                                        iret_reason reason) {
    if (reason == iret_reason::corrupt)
        stop("corrupt trap frame", frame, frame.flags);
    auto& cpu = contract::this_cpu();
    if ((frame.cs & X86_RPL_MASK) == 0) {
        cpu.iret_returns += 1;
        if (cpu.nmi_in_progress != 0)
            cpu.iret_returns_in_nmi += 1;
        cpu.last_iret_reason = static_cast<uint32_t>(reason);
    }
    return return_kind::iret;
}

[[gnu::always_inline]] inline return_kind plan_return(const x86::trap_frame& frame) {
    const uint16_t current_cs = x86::read_cs();
    const uintptr_t decided =
        defended(NMISAFE_WITHOUT_TF) ? decided_flags : decided_flags & ~uintptr_t{X86_FLAGS_TF};
    if (!is_plain(frame.flags, frame.cs, current_cs, decided)) [[unlikely]]
        return return_by_iret(frame, why_not_plain(frame.flags, frame.cs, current_cs));
    auto& cpu = contract::this_cpu();
    if ((frame.flags & X86_FLAGS_RF) != 0 && instruction_breakpoint_armed(cpu.debug_control) &&
        defended(NMISAFE_WITHOUT_RF)) [[unlikely]]
        return return_by_iret(frame, iret_reason::resume_flag);
    const return_policy policy = current_policy();
    const bool counted_in_nmi = policy == return_policy::far_nmi_count && context::in_nmi();
    const return_kind kind = plain_return(policy, frame.flags, counted_in_nmi);
    if (kind == return_kind::iret) {
        if (cpu.nmi_in_progress != 0)
            cpu.iret_returns_in_nmi += 1;
        return kind;
    }
    cpu.safe_returns += 1;
    if (!defended(NMISAFE_WITHOUT_STI)) {
        if (kind == return_kind::near_sti)
            return return_kind::near;
        if (kind == return_kind::far_sti)
            return return_kind::far;
    }
    return kind;
}

[[gnu::always_inline]] inline void call_handler(x86::trap_frame& frame) {
    const handler function = handlers[frame.vector];
    if (function == nullptr || !function(frame)) [[unlikely]]
        stop(frame.vector < X86_EXCEPTION_VECTORS ? "unexpected exception" : "unexpected interrupt",
             frame, frame.error);
}

} // namespace

void set_handler(uint8_t vector, handler function) {
    __atomic_store_n(&handlers[vector], function, __ATOMIC_RELEASE);
}

void set_page_fault_handler(page_fault_handler function) {
    __atomic_store_n(&on_page_fault, function, __ATOMIC_RELEASE);
}

/// Every vector but #DB, NMI, #PF and #MC. @context any; called by entry_x86_*.S with IF=0.
extern "C" uint32_t nmisafe_trap_dispatch(x86::trap_frame* frame) {
    call_handler(*frame);
    return static_cast<uint32_t>(plan_return(*frame));
}

/// #PF. CR2 is read before anything that could fault or be trapped on; an NMI that lands earlier
/// puts it back (nmi.cpp).
extern "C" uint32_t nmisafe_trap_dispatch_page_fault(x86::trap_frame* frame) {
    const uintptr_t address = x86::read_cr2();
    const page_fault_handler function = on_page_fault;
    if (function == nullptr || !function(*frame, address)) [[unlikely]]
        stop("unexpected page fault", *frame, address);
    return static_cast<uint32_t>(plan_return(*frame));
}

/// #DB and #MC, which may land inside a return. After an instruction breakpoint RF is set, so that
/// the instruction runs once and the frame takes the IRET way: returned by POPF the breakpoint
/// would be hit again without end.
extern "C" uint32_t nmisafe_trap_dispatch_nmi_like(x86::trap_frame* frame) {
    call_handler(*frame);
    leave_interrupt_shadow(*frame);
    if (frame->vector == X86_VECTOR_DB &&
        instruction_breakpoint_armed(contract::this_cpu().debug_control))
        frame->flags |= X86_FLAGS_RF;
    return static_cast<uint32_t>(plan_return(*frame));
}

#ifdef NMISAFE_TRAP_RETURN_CAPTURE
/// Called by the return path itself with the words it is about to load. @context any.
extern "C" void nmisafe_trap_captured(uintptr_t ip, uintptr_t cs, uintptr_t flags) {
    contract::capture_return({.ip = ip, .cs = cs, .flags = flags});
}
#endif

extern "C" const char nmisafe_trap_stubs[];
inline constexpr uintptr_t stub_size = 16;

uintptr_t entry_address(uint8_t vector) {
    return reinterpret_cast<uintptr_t>(nmisafe_trap_stubs) + stub_size * vector;
}

} // namespace nmisafe::trap
