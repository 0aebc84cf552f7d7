// SPDX-License-Identifier: MIT
// From the entry stubs to the handlers, and the decision how to return.
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/breakpoint_dispatch.hpp"
#include "nmisafe/trap/breakpoints.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/entry_calls.hpp"
#include "nmisafe/trap/handlers.hpp"
#include "nmisafe/trap/nmi_boundary.hpp"
#include "nmisafe/trap/return_plan.hpp"
#include "nmisafe/trap/shadow.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/local.hpp"
#include "nmisafe/x86/registers.hpp"

#ifdef NMISAFE_TRAP_CONTROLS
uint32_t nmisafe_trap_removed = 0;
#endif

namespace nmisafe::trap {

extern "C" {
// Read by entry_x86_*.S.
extern breakpoint_dispatch nmisafe_trap_breakpoint_dispatch;
constinit breakpoint_dispatch nmisafe_trap_breakpoint_dispatch = nmisafe_trap_dispatch;
}

#ifndef NMISAFE_TRAP_POLICY
return_policy internal::boot_policy = return_policy::near;
#endif

namespace internal {
handler handlers[X86_VECTORS];
page_fault_handler on_page_fault;
} // namespace internal

namespace {

using internal::handlers;
using internal::on_page_fault;
using platform::contract;

[[noreturn, gnu::cold, gnu::noinline, NMISAFE_TRAP_TEXT]] void
stop(const char* what, const x86::trap_frame& frame, uintptr_t value) {
    contract::panic({.what = what, .frame = &frame, .value = value});
}

/// Whether IRET would fault on this frame's CS: that would unblock NMIs, and the fault would be
/// reported far from its cause.
[[NMISAFE_TRAP_INLINE]] inline bool is_bad_segment(const x86::trap_frame& frame) {
    const auto selector = static_cast<uint16_t>(frame.cs);
    return (selector & X86_RPL_MASK) == 0 && !x86::is_ring_0_code(selector);
}

/// An image that is not plain: IRET, counted, with the reason kept for the caller to see.
[[gnu::cold, gnu::noinline, NMISAFE_TRAP_TEXT]] return_kind
return_by_iret(const x86::trap_frame& frame, iret_reason reason) {
    if (reason == iret_reason::corrupt ||
        (reason == iret_reason::other_segment && is_bad_segment(frame)))
        stop("corrupt trap frame", frame, frame.flags);
    auto& cpu = contract::this_cpu();
    if ((frame.cs & X86_RPL_MASK) == 0) {
        x86::increment(cpu.iret_returns);
        if (cpu.nmi_in_progress != 0)
            x86::increment(cpu.iret_returns_in_nmi);
        cpu.last_iret_reason = static_cast<uint32_t>(reason);
    }
    return return_kind::iret;
}

[[gnu::cold, gnu::noinline, NMISAFE_TRAP_TEXT]] return_kind
return_not_plain(const x86::trap_frame& frame, uint16_t current_cs) {
    return return_by_iret(frame, why_not_plain(frame.flags, frame.cs, current_cs));
}

/// Behind a test for RF and any_breakpoint_wanted(): whether it must survive here.
[[gnu::cold, gnu::noinline, NMISAFE_TRAP_TEXT]] bool resume_flag_matters() {
    return instruction_breakpoint_armed(due_control(contract::this_cpu())) &&
           defended(NMISAFE_WITHOUT_RF);
}

[[NMISAFE_TRAP_INLINE]] inline return_kind plan_return(const x86::trap_frame& frame) {
    const uint16_t current_cs = x86::read_cs();
    const uintptr_t decided =
        defended(NMISAFE_WITHOUT_TF) ? decided_flags : decided_flags & ~uintptr_t{X86_FLAGS_TF};
    if (!is_plain(frame.flags, frame.cs, current_cs, decided)) [[unlikely]]
        return return_not_plain(frame, current_cs);
    auto& cpu = contract::this_cpu();
    if ((frame.flags & X86_FLAGS_RF) != 0 && any_breakpoint_wanted(cpu) && resume_flag_matters())
        [[unlikely]]
        return return_by_iret(frame, iret_reason::resume_flag);
    const return_policy policy = fitting_policy();
    const bool counted_in_nmi = policy == return_policy::far_nmi_count && context::in_nmi();
    const return_kind kind = plain_return(policy, frame.flags, counted_in_nmi);
    if (kind == return_kind::iret) {
        if (cpu.nmi_in_progress != 0)
            x86::increment(cpu.iret_returns_in_nmi);
        return kind;
    }
    x86::increment(cpu.safe_returns);
    if (!defended(NMISAFE_WITHOUT_STI)) {
        if (kind == return_kind::near_sti)
            return return_kind::near;
        if (kind == return_kind::far_sti)
            return return_kind::far;
    }
    return kind;
}

[[NMISAFE_TRAP_INLINE]] inline void call_handler(x86::trap_frame& frame) {
    const handler function = handlers[frame.vector];
    if (function == nullptr || !function(frame)) [[unlikely]]
        stop(frame.vector < X86_EXCEPTION_VECTORS ? "unexpected exception" : "unexpected interrupt",
             frame, frame.error);
}

} // namespace

void set_handler(uint8_t vector, handler function) {
    if (vector == X86_VECTOR_NMI || vector == X86_VECTOR_PF)
        contract::panic({.what = "NMI and page fault have handlers of their own kind",
                         .frame = nullptr,
                         .value = vector});
    __atomic_store_n(&handlers[vector], function, __ATOMIC_RELEASE);
}

void set_breakpoint_dispatch(breakpoint_dispatch function) {
    __atomic_store_n(&nmisafe_trap_breakpoint_dispatch, function, __ATOMIC_RELEASE);
}

void set_page_fault_handler(page_fault_handler function) {
    __atomic_store_n(&on_page_fault, function, __ATOMIC_RELEASE);
}

/// Every vector but #DB, NMI, #PF and #MC; of #BP what its dispatch leaves. @context any; called by
/// entry_x86_*.S with IF=0.
extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t
nmisafe_trap_dispatch(x86::trap_frame* frame) {
    call_handler(*frame);
    return static_cast<uint32_t>(plan_return(*frame));
}

extern "C" [[NMISAFE_TRAP_TEXT]] uint32_t nmisafe_trap_plan(const x86::trap_frame* frame) {
    return static_cast<uint32_t>(plan_return(*frame));
}

/// #PF. CR2 is read before anything that could fault; an NMI, #DB or #MC that lands earlier puts it
/// back.
extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t
nmisafe_trap_dispatch_page_fault(x86::trap_frame* frame) {
    const uintptr_t address = x86::read_cr2();
    const page_fault_handler function = on_page_fault;
    if (function == nullptr || !function(*frame, address)) [[unlikely]]
        stop("unexpected page fault", *frame, address);
    return static_cast<uint32_t>(plan_return(*frame));
}

namespace {

/// Whether this #DB reports an instruction breakpoint on the very instruction it returns to. Only
/// then is RF needed: set for a single step or a data breakpoint it would swallow the next
/// breakpoint.
[[NMISAFE_TRAP_INLINE]] inline bool
is_instruction_breakpoint_hit(const x86::trap_frame& frame, uintptr_t status, uintptr_t control) {
    for (unsigned number = 0; number < 4; ++number)
        if ((status >> number & 1) != 0 && is_instruction_breakpoint(control, number) &&
            x86::read_breakpoint_address(number) == frame.ip)
            return true;
    return false;
}

/// Whether an NMI is in progress whose handler, which may be stepped, has ended: nmi_debug.hpp.
[[NMISAFE_TRAP_INLINE]] inline bool is_behind_debugged_handler(const platform::cpu_state& cpu) {
    return internal::debugged_handler != nullptr && cpu.nmi_in_progress != 0 &&
           cpu.nmi_handler_debugged == 0;
}

/// What #DB needs around its handler. No CPU clears what DR6 reports: the next #DB would report it
/// again, and a breakpoint not hit would be taken for one that was. [intel/vol3 17.2.3]
[[NMISAFE_TRAP_INLINE]] inline void handle_debug_exception(x86::trap_frame& frame,
                                                           platform::cpu_state& cpu) {
    const uintptr_t status = x86::read_dr6();
#ifdef __x86_64__
    // One in progress whose stack was begun again, for want of set_up_nmi_debugging(): its frame is
    // gone.
    const uintptr_t outer = cpu.debug_frame;
    const auto address = reinterpret_cast<uintptr_t>(&frame);
    if (outer == address && cpu.nmi_like_in_progress > 1 &&
        defended(NMISAFE_WITHOUT_DEBUG_STACK | NMISAFE_WITHOUT_DR7)) [[unlikely]]
        stop("a #DB began its stack again, over another one's frame", frame, address);
    cpu.debug_frame = address;
#endif
    call_handler(frame);
#ifdef __x86_64__
    cpu.debug_frame = outer;
#endif
    // A debugger may set TF at each stop. Of these the last is behind the handler's end, on the
    // stack that #DB has there; the next would begin the one of a #DB that the NMI interrupted.
    if (is_behind_debugged_handler(cpu) && defended(NMISAFE_WITHOUT_STEP_END)) [[unlikely]]
        frame.flags &= ~uintptr_t{X86_FLAGS_TF};
    // IRET with RF lets the instruction run once; by POPF the breakpoint would be hit without end.
    if (is_instruction_breakpoint_hit(frame, status, control_outside_debug(cpu)))
        frame.flags |= X86_FLAGS_RF;
    x86::write_dr6(X86_DR6_CLEAR);
}

// An event that may land anywhere counts as one, where the layout's field can nest.
constexpr bool counts_nmi_like = context::count::nmi_can_nest;

} // namespace

/// #DB and #MC, up to the return. They may land inside a page fault's entry, before CR2 is read,
/// and inside a return.
extern "C" [[NMISAFE_TRAP_TEXT]] void nmisafe_trap_handle_nmi_like(x86::trap_frame* frame) {
    // First: who is let in now may cost the NMI its frame.
    const nmi_boundary boundary = hold_nmi_boundary(*frame);
    auto& cpu = contract::this_cpu();
    x86::increment(cpu.nmi_like_in_progress);
    const uintptr_t cr2 = x86::read_cr2();
    const bool were_armed = disarm_breakpoints();
    if constexpr (counts_nmi_like)
        context::nmi_enter();
    if (frame->vector == X86_VECTOR_DB)
        handle_debug_exception(*frame, cpu);
    else
        call_handler(*frame);
    if constexpr (counts_nmi_like)
        context::nmi_exit();
    leave_interrupt_shadow(*frame);
    if (x86::read_cr2() != cr2 && defended(NMISAFE_WITHOUT_CR2))
        x86::write_cr2(cr2);
    leave_nmi_boundary(*frame, boundary);
    x86::decrement(cpu.nmi_like_in_progress);
    // The handler of a #DB in an NMI may have asked for breakpoints in the NMI's handler.
    rearm_breakpoints(cpu, were_armed || any_breakpoint_wanted(cpu));
}

extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t
nmisafe_trap_dispatch_nmi_like(x86::trap_frame* frame) {
    nmisafe_trap_handle_nmi_like(frame);
    return static_cast<uint32_t>(plan_return(*frame));
}

#ifdef NMISAFE_TRAP_RETURN_CAPTURE
/// Called by the return path itself with the words it is about to load. @context any.
extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] void
nmisafe_trap_captured(uintptr_t ip, uintptr_t cs, uintptr_t flags) {
    contract::capture_return({.ip = ip, .cs = cs, .flags = flags});
}
#endif

extern "C" const char nmisafe_trap_stubs[];
extern "C" const char nmisafe_trap_nmi_entry[];
inline constexpr uintptr_t stub_size = 16;

uintptr_t entry_address(uint8_t vector) {
    // Not the jump in its place among the others: on x86-64 its first instruction must be the
    // first.
    if (vector == X86_VECTOR_NMI)
        return reinterpret_cast<uintptr_t>(nmisafe_trap_nmi_entry);
    return reinterpret_cast<uintptr_t>(nmisafe_trap_stubs) + stub_size * vector;
}

} // namespace nmisafe::trap
