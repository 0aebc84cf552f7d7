// SPDX-License-Identifier: MIT
// From the entries of user mode to the handlers, and what happens before a return to it.
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/entry_calls.hpp"
#include "nmisafe/trap/handlers.hpp"
#include "nmisafe/trap/nmi_boundary.hpp"
#include "nmisafe/trap/return_kind.h"
#include "nmisafe/trap/return_plan.hpp"
#include "nmisafe/user/controls.h"
#include "nmisafe/user/entry_calls.hpp"
#include "nmisafe/user/user.hpp"
#include "nmisafe/x86/local.hpp"
#include "nmisafe/x86/registers.hpp"

#ifdef NMISAFE_TRAP_CONTROLS
uint32_t nmisafe_user_removed = 0;
#endif

namespace nmisafe::user {

namespace {

using platform::contract;

syscall_handler on_syscall;
return_work work;
refused_return on_refused;

[[noreturn, gnu::cold, gnu::noinline, NMISAFE_TRAP_TEXT]] void
stop(const char* what, const x86::trap_frame& frame, uintptr_t value) {
    contract::panic({.what = what, .frame = &frame, .value = value});
}

[[NMISAFE_TRAP_INLINE]] inline refusal refusal_of(user_frame& frame) {
    if (!defended(NMISAFE_USER_WITHOUT_REFUSAL))
        return refusal::none;
    return why_refused(frame.trap.cs, frame.ss(), frame.trap.flags);
}

/// Lets the kernel repair a frame, once.
[[gnu::cold, gnu::noinline, NMISAFE_TRAP_TEXT]] void refuse(user_frame& frame, refusal why) {
    if (on_refused == nullptr)
        stop("a return to user mode that must not be", frame.trap, static_cast<uintptr_t>(why));
    on_refused(frame.trap, why);
    x86::disable_interrupts();
    const refusal again = refusal_of(frame);
    if (again != refusal::none)
        stop("a return to user mode refused twice", frame.trap, static_cast<uintptr_t>(again));
}

/// The end of every event in user mode but an NMI. With interrupts on, one that came between here
/// and the return would find the user's GS in ring 0.
[[NMISAFE_TRAP_INLINE]] inline void prepare_return(user_frame& frame) {
    x86::disable_interrupts();
    if (work != nullptr) {
        work(frame.trap);
        x86::disable_interrupts();
    }
    const refusal why = refusal_of(frame);
    if (why != refusal::none) [[unlikely]]
        refuse(frame, why);
}

[[NMISAFE_TRAP_INLINE]] inline uint32_t return_by_iret(user_frame& frame) {
    prepare_return(frame);
    return static_cast<uint32_t>(return_kind::iret);
}

} // namespace

void set_syscall_handler(syscall_handler function) {
    __atomic_store_n(&on_syscall, function, __ATOMIC_RELEASE);
}

void set_return_work(return_work function) {
    __atomic_store_n(&work, function, __ATOMIC_RELEASE);
}

void set_refused_return(refused_return function) {
    __atomic_store_n(&on_refused, function, __ATOMIC_RELEASE);
}

extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t
nmisafe_user_dispatch(user_frame* frame) {
    const uintptr_t vector = frame->trap.vector;
    const trap::handler function = trap::internal::handlers[vector];
    if (function == nullptr || !function(frame->trap)) [[unlikely]]
        stop(vector < X86_EXCEPTION_VECTORS ? "unexpected exception" : "unexpected interrupt",
             frame->trap, frame->trap.error);
    return return_by_iret(*frame);
}

/// CR2 first of all, as in the kernel.
extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t
nmisafe_user_dispatch_page_fault(user_frame* frame) {
    const uintptr_t address = x86::read_cr2();
    const trap::page_fault_handler function = trap::internal::on_page_fault;
    if (function == nullptr || !function(frame->trap, address)) [[unlikely]]
        stop("unexpected page fault", frame->trap, address);
    return return_by_iret(*frame);
}

/// #DB and #MC: as in the kernel, but on the thread's stack, and with work before the return. What
/// the handler made of the frame is refused, if it is, as everywhere: no return of the kernel's is
/// planned.
extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t
nmisafe_user_dispatch_nmi_like(user_frame* frame) {
    trap::nmisafe_trap_handle_nmi_like(&frame->trap);
    return return_by_iret(*frame);
}

extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t
nmisafe_user_dispatch_syscall(user_frame* frame) {
    if (on_syscall == nullptr) [[unlikely]]
        stop("unexpected system call", frame->trap, frame->trap.ax);
    on_syscall(frame->trap);
    prepare_return(*frame);
    const x86::trap_frame& trap = frame->trap;
#ifdef __x86_64__
    if (may_return_by_sysret(trap.ip, trap.cs, trap.flags, trap.cx, trap.r11,
                             defended(NMISAFE_USER_WITHOUT_CANONICAL),
                             defended(NMISAFE_USER_WITHOUT_STEP))) [[likely]]
        return static_cast<uint32_t>(return_kind::fast);
#else
    if (may_return_by_sysexit(trap.ip, frame->sp(), trap.cs, trap.flags, trap.dx, trap.cx,
                              defended(NMISAFE_USER_WITHOUT_STEP))) [[likely]]
        return static_cast<uint32_t>(return_kind::fast);
#endif
    return static_cast<uint32_t>(return_kind::iret);
}

extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t
nmisafe_user_finish(user_frame* frame) {
    return return_by_iret(*frame);
}

extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] bool
nmisafe_user_is_refused(user_frame* frame) {
    return refusal_of(*frame) != refusal::none;
}

#ifdef __x86_64__

namespace {

[[NMISAFE_TRAP_INLINE]] inline bool is_between(uintptr_t ip, const char* begin, const char* end) {
    return ip >= reinterpret_cast<uintptr_t>(begin) && ip < reinterpret_cast<uintptr_t>(end);
}

#ifdef NMISAFE_SHADOW_STACK
constexpr const char* begin_of_sysret = nmisafe_user_off_shadow_stack;
#else
constexpr const char* begin_of_sysret = nmisafe_user_sysret;
#endif

/// Whether the interrupted code is in ring 0 but RSP still, or already, the user's: anything at
/// all. Or SSP is none.
[[NMISAFE_TRAP_INLINE]] inline bool is_on_user_stack(const x86::trap_frame& frame) {
    return is_between(frame.ip, nmisafe_user_syscall, nmisafe_user_syscall_on_stack) ||
           is_between(frame.ip, begin_of_sysret, nmisafe_user_sysret_end);
}

/// As trap/nmi_boundary.hpp, of this module's NMI. From its second instruction in the exit's window
/// on nothing is lost any more: the frame lies on the thread's stack, and a further NMI runs its
/// handler at once.
[[NMISAFE_TRAP_INLINE]] inline trap::nmi_boundary hold_own_boundary(const x86::trap_frame& frame) {
    if (!trap::defended(NMISAFE_WITHOUT_BOUNDARY) || !trap::defended(NMISAFE_WITHOUT_LATCH) ||
        is_from_user(frame)) [[unlikely]]
        return trap::nmi_boundary::none;
    if (is_between(frame.ip, nmisafe_user_nmi_entry, nmisafe_user_nmi_outer)) [[unlikely]]
        return trap::internal::hold_nmi_entry(frame);
    if (is_between(frame.ip, nmisafe_user_nmi_window, nmisafe_user_nmi_raise + 1)) [[unlikely]]
        return trap::internal::hold_nmi_exit();
    return trap::nmi_boundary::none;
}

[[NMISAFE_TRAP_INLINE]] inline void leave_own_boundary(x86::trap_frame& frame,
                                                       trap::nmi_boundary boundary) {
    if (boundary == trap::nmi_boundary::none) [[likely]]
        return;
    if (boundary == trap::nmi_boundary::entry) {
        trap::internal::leave_nmi_entry(frame,
                                        reinterpret_cast<uintptr_t>(nmisafe_user_nmi_lowered));
        return;
    }
    frame.ip = reinterpret_cast<uintptr_t>(nmisafe_user_nmi_exit);
    frame.flags &= ~uintptr_t{X86_FLAGS_TF}; // it would come back to the test without end
}

} // namespace

/// An NMI-safe return writes below the interrupted RSP. Where that is the user's it must not: IRET,
/// which does no harm, because an NMI handler never is at these instructions.
extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t
nmisafe_user_dispatch_anywhere(x86::trap_frame* frame) {
    const trap::nmi_boundary boundary = hold_own_boundary(*frame); // first of all
    const bool on_user_stack = is_on_user_stack(*frame); // before the handler may change the frame
    if (frame->vector == X86_VECTOR_DF)
        return trap::nmisafe_trap_dispatch(frame);
    const uint32_t kind = trap::nmisafe_trap_dispatch_nmi_like(frame);
    leave_own_boundary(*frame, boundary);
    if (!on_user_stack || kind == NMISAFE_RETURN_IRET || !defended(NMISAFE_USER_WITHOUT_GAP))
        return kind;
    auto& cpu = contract::this_cpu();
    x86::increment(cpu.iret_returns);
    cpu.last_iret_reason = static_cast<uint32_t>(trap::iret_reason::user_stack);
    return NMISAFE_RETURN_IRET;
}

void set_up_syscalls(uint16_t kernel_code_selector) {
    static_assert(NMISAFE_USER_CODE_SELECTOR == NMISAFE_USER_DATA_SELECTOR + 8,
                  "SYSRET takes both selectors from one base");
    constexpr uint64_t user_base = NMISAFE_USER_DATA_SELECTOR - 8;
    x86::write_msr(X86_MSR_STAR, user_base << 48 | uint64_t{kernel_code_selector} << 32);
    x86::write_msr(X86_MSR_LSTAR, reinterpret_cast<uintptr_t>(nmisafe_user_syscall));
    // Only code in a 32-bit segment comes by this one, which a kernel of 64-bit tasks has none of.
    x86::write_msr(X86_MSR_CSTAR, reinterpret_cast<uintptr_t>(nmisafe_user_syscall));
    x86::write_msr(X86_MSR_SYSCALL_MASK,
                   defended(NMISAFE_USER_WITHOUT_MASK) ? syscall_mask : X86_FLAGS_IF);
    x86::write_msr(X86_MSR_EFER, x86::read_msr(X86_MSR_EFER) | X86_EFER_SCE);
}

inline constexpr uintptr_t stub_size = 32;

uintptr_t entry_address(uint8_t vector) {
    if (vector == X86_VECTOR_NMI)
        return reinterpret_cast<uintptr_t>(nmisafe_user_nmi_entry);
    return reinterpret_cast<uintptr_t>(nmisafe_user_stubs) + stub_size * vector;
}

void set_up_nmi(trap::nmi_block& block) {
    block.other_exit = {.begin = reinterpret_cast<uintptr_t>(nmisafe_user_nmi_window),
                        .end = reinterpret_cast<uintptr_t>(nmisafe_user_nmi_raise),
                        .redo = reinterpret_cast<uintptr_t>(nmisafe_user_nmi_redo)};
}

#ifdef NMISAFE_PAGE_TABLE_ISOLATION
void set_page_tables(cpu_words& words, trap::nmi_block& block, uintptr_t kernel, uintptr_t task) {
    words.kernel_tables = kernel;
    words.task_tables = task;
    block.kernel_tables = kernel;
}
#endif

#ifdef NMISAFE_SHADOW_STACK
void set_shadow_stack(cpu_words& words, uintptr_t token) {
    if (token != 0 && !trap::is_place_of_token(token))
        contract::panic(
            {.what = "a shadow stack's token out of place", .frame = nullptr, .value = token});
    words.shadow_stack = token;
    x86::write_msr(X86_MSR_PL0_SSP, token);
}
#endif

void enter(user_frame& frame) {
    prepare_return(frame);
    nmisafe_user_enter(&frame);
}

#endif // __x86_64__

} // namespace nmisafe::user
