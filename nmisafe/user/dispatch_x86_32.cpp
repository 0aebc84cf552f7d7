// SPDX-License-Identifier: MIT
// x86-32: what its entries need beside dispatch.cpp: events that may land where the segments are
// the user's, and SYSENTER.
#ifdef __i386__

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/entry_calls.hpp"
#include "nmisafe/user/controls.h"
#include "nmisafe/user/entry_calls.hpp"
#include "nmisafe/user/frame_x86_32.h"
#include "nmisafe/user/user.hpp"
#include "nmisafe/x86/registers.hpp"

namespace nmisafe::user {

static_assert(offsetof(user_frame, gs) == USER_FRAME_GS &&
              offsetof(user_frame, fs) == USER_FRAME_FS);
static_assert(offsetof(user_frame, es) == USER_FRAME_ES &&
              offsetof(user_frame, ds) == USER_FRAME_DS);
static_assert(offsetof(user_frame, trap) == USER_FRAME_TRAP);
static_assert(sizeof(user_frame) == USER_FRAME_SIZE);
static_assert(offsetof(user_frame, user_sp) == USER_FRAME_SP &&
              offsetof(user_frame, user_ss) == USER_FRAME_SS);
static_assert(static_cast<uint32_t>(return_kind::iret) == USER_RETURN_IRET &&
              static_cast<uint32_t>(return_kind::fast) == USER_RETURN_FAST);

namespace {

[[NMISAFE_TRAP_INLINE]] inline bool is_at(const x86::trap_frame& frame, const char* label) {
    return frame.ip == reinterpret_cast<uintptr_t>(label);
}

/// The return by SYSEXIT ends in STI and SYSEXIT. As trap/shadow.hpp: an NMI between them, which
/// comes back by IRET without the shadow, would let an interrupt in where the segments are the
/// user's.
[[NMISAFE_TRAP_INLINE]] inline void leave_sysexit_shadow(x86::trap_frame& frame) {
    if (!is_at(frame, nmisafe_user_sysexit) || is_from_user(frame)) [[likely]]
        return;
    if (!trap::defended(NMISAFE_WITHOUT_REWIND))
        return;
    constexpr uint32_t sti_length = 1;
    frame.ip -= sti_length;
    frame.flags &= ~uint32_t{X86_FLAGS_IF};
}

/// SYSENTER leaves TF as it was, so a step of it traps at the kernel's first instruction. The
/// kernel is not to be stepped; the second entry puts TF into the task's frame instead. [intel/vol2
/// SYSENTER]
[[NMISAFE_TRAP_INLINE]] inline void leave_step(x86::trap_frame& frame) {
    if (!is_at(frame, nmisafe_user_sysenter) || (frame.flags & X86_FLAGS_TF) == 0 ||
        !defended(NMISAFE_USER_WITHOUT_STEP)) [[likely]]
        return;
    frame.flags &= ~uint32_t{X86_FLAGS_TF};
    frame.ip = reinterpret_cast<uintptr_t>(nmisafe_user_sysenter_stepped);
}

} // namespace

/// The handler of #DB is told of a step of SYSENTER too, with a frame of ring 0.
extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uint32_t
nmisafe_user_dispatch_anywhere(x86::trap_frame* frame) {
    leave_sysexit_shadow(*frame);
    leave_step(*frame);
    return trap::nmisafe_trap_dispatch_nmi_like(frame);
}

extern "C" [[NMISAFE_TRAP_TEXT, NMISAFE_ASSEMBLY_CALL]] uintptr_t
nmisafe_user_nmi(x86::trap_frame* frame) {
    const uintptr_t result = trap::nmisafe_trap_nmi(frame);
    leave_sysexit_shadow(*frame);
    return result;
}

namespace {

void let_sysenter_begin_on(uint16_t kernel_code_selector, uintptr_t sp) {
    static_assert(NMISAFE_USER_DATA_SELECTOR == NMISAFE_USER_CODE_SELECTOR + 8,
                  "SYSEXIT takes both selectors from one base");
    x86::write_msr(X86_MSR_SYSENTER_CS, kernel_code_selector);
    x86::write_msr(X86_MSR_SYSENTER_ESP, sp);
    x86::write_msr(X86_MSR_SYSENTER_EIP, reinterpret_cast<uintptr_t>(nmisafe_user_sysenter));
}

} // namespace

#ifdef NMISAFE_PAGE_TABLE_ISOLATION
void set_up_syscalls(uint16_t kernel_code_selector, const cpu_words& words) {
    let_sysenter_begin_on(kernel_code_selector, words.entry_stack);
}

void set_page_tables(cpu_words& words, uintptr_t kernel, uintptr_t task) {
    words.kernel_tables = kernel;
    words.task_tables = task;
}
#else
void set_up_syscalls(uint16_t kernel_code_selector, sysenter_top& top) {
    let_sysenter_begin_on(kernel_code_selector, reinterpret_cast<uintptr_t>(&top));
}
#endif

uintptr_t entry_address(uint8_t vector) {
    constexpr uintptr_t stub_size = 16;
    return reinterpret_cast<uintptr_t>(nmisafe_user_stubs) + stub_size * vector;
}

void enter(user_frame& frame) {
    nmisafe_user_finish(&frame);
    nmisafe_user_enter(&frame);
}

} // namespace nmisafe::user

#endif // __i386__
