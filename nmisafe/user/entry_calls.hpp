// SPDX-License-Identifier: MIT
// The functions that the entry code calls, and its labels.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/user/user_frame.hpp"
#include "nmisafe/x86/assembly_call.hpp"

namespace nmisafe::user {

extern "C" {

/// Events in user mode, on the thread's stack: each returns a return_kind. @context thread, IF=0
[[NMISAFE_ASSEMBLY_CALL]] uint32_t nmisafe_user_dispatch(user_frame* frame);
[[NMISAFE_ASSEMBLY_CALL]] uint32_t nmisafe_user_dispatch_page_fault(user_frame* frame);
[[NMISAFE_ASSEMBLY_CALL]] uint32_t nmisafe_user_dispatch_nmi_like(user_frame* frame);
[[NMISAFE_ASSEMBLY_CALL]] uint32_t nmisafe_user_dispatch_syscall(user_frame* frame);

/// #DB, #MC and #DF in ring 0, with GS the kernel's: a value of trap/return_kind.h. @context any
[[NMISAFE_ASSEMBLY_CALL]] uint32_t nmisafe_user_dispatch_anywhere(x86::trap_frame* frame);

/// What is left of an event whose handler has run. @context thread
[[NMISAFE_ASSEMBLY_CALL]] uint32_t nmisafe_user_finish(user_frame* frame);

/// Whether an NMI in user mode may not go back to this image itself. @context nmi
[[NMISAFE_ASSEMBLY_CALL]] bool nmisafe_user_is_refused(user_frame* frame);

#ifdef __i386__
/// An NMI, wherever: returns what nmisafe_trap_nmi() does. @context nmi
[[NMISAFE_ASSEMBLY_CALL]] uintptr_t nmisafe_user_nmi(x86::trap_frame* frame);
#endif

/// Goes to user mode with a frame that is to be returned to by IRET. @context thread, IF=0
[[noreturn, NMISAFE_ASSEMBLY_CALL]] void nmisafe_user_enter(user_frame* frame);

extern const char nmisafe_user_stubs[];
#ifdef __x86_64__
extern const char nmisafe_user_nmi_entry[];
extern const char nmisafe_user_nmi_lowered[];
extern const char nmisafe_user_nmi_outer[];
extern const char nmisafe_user_nmi_exit[];
extern const char nmisafe_user_nmi_window[];
extern const char nmisafe_user_nmi_raise[];
extern const char nmisafe_user_nmi_redo[];
#endif
extern const char nmisafe_user_iret[];
#ifdef __x86_64__
extern const char nmisafe_user_syscall[];
extern const char nmisafe_user_syscall_on_stack[];
extern const char nmisafe_user_off_shadow_stack[];
extern const char nmisafe_user_sysret[];
extern const char nmisafe_user_sysret_end[];
#else
extern const char nmisafe_user_sysenter[];
extern const char nmisafe_user_sysenter_stepped[];
extern const char nmisafe_user_sysexit[];
#endif
}

} // namespace nmisafe::user
