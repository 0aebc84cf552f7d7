// SPDX-License-Identifier: MIT
// What C and C++ know by different names is the same in memory.
#include "nmisafe/base/std.hpp"
#include "nmisafe/c/contract.h"
#include "nmisafe/c/trap.h"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/x86/trap_frame.h"

namespace nmisafe::c {

#define NMISAFE_SAME(type, member, theirs, their_member)                                           \
    static_assert(offsetof(type, member) == offsetof(theirs, their_member) &&                      \
                  sizeof(type::member) == sizeof(theirs::their_member))

#define NMISAFE_SAME_IN_FRAME(member) NMISAFE_SAME(nmisafe_frame, member, x86::trap_frame, member)
static_assert(sizeof(nmisafe_frame) == sizeof(x86::trap_frame));
NMISAFE_SAME_IN_FRAME(bp);
NMISAFE_SAME_IN_FRAME(di);
NMISAFE_SAME_IN_FRAME(si);
NMISAFE_SAME_IN_FRAME(dx);
NMISAFE_SAME_IN_FRAME(bx);
NMISAFE_SAME_IN_FRAME(cx);
NMISAFE_SAME_IN_FRAME(ax);
NMISAFE_SAME_IN_FRAME(vector);
NMISAFE_SAME_IN_FRAME(error);
NMISAFE_SAME_IN_FRAME(ip);
NMISAFE_SAME_IN_FRAME(cs);
NMISAFE_SAME_IN_FRAME(flags);
#ifdef __x86_64__
NMISAFE_SAME_IN_FRAME(r15);
NMISAFE_SAME_IN_FRAME(r14);
NMISAFE_SAME_IN_FRAME(r13);
NMISAFE_SAME_IN_FRAME(r12);
NMISAFE_SAME_IN_FRAME(r11);
NMISAFE_SAME_IN_FRAME(r10);
NMISAFE_SAME_IN_FRAME(r9);
NMISAFE_SAME_IN_FRAME(r8);
NMISAFE_SAME_IN_FRAME(sp);
NMISAFE_SAME_IN_FRAME(ss);
#endif

#define NMISAFE_SAME_IN_STATE(member)                                                              \
    NMISAFE_SAME(nmisafe_cpu_state, member, platform::cpu_state, member)
static_assert(sizeof(nmisafe_cpu_state) == sizeof(platform::cpu_state));
NMISAFE_SAME_IN_STATE(debug_control);
NMISAFE_SAME_IN_STATE(nmi_in_progress);
NMISAFE_SAME_IN_STATE(nmi_like_in_progress);
NMISAFE_SAME_IN_STATE(nmi_latch);
NMISAFE_SAME_IN_STATE(nmi_pending);
NMISAFE_SAME_IN_STATE(iret_returns);
NMISAFE_SAME_IN_STATE(iret_returns_in_nmi);
NMISAFE_SAME_IN_STATE(safe_returns);
NMISAFE_SAME_IN_STATE(last_iret_reason);
NMISAFE_SAME_IN_STATE(in_probe_handler);
NMISAFE_SAME_IN_STATE(nmi_handler_debugged);
NMISAFE_SAME_IN_STATE(dropped_hits);
NMISAFE_SAME_IN_STATE(nmi_debug_control);
#ifdef __x86_64__
NMISAFE_SAME_IN_STATE(debug_frame);
NMISAFE_SAME_IN_STATE(debug_stacks);
#endif

static_assert(sizeof(nmisafe_failure) == sizeof(platform::failure));
NMISAFE_SAME(nmisafe_failure, what, platform::failure, what);
NMISAFE_SAME(nmisafe_failure, frame, platform::failure, frame);
NMISAFE_SAME(nmisafe_failure, value, platform::failure, value);

#ifdef __x86_64__
// Larger, whatever options the library is built with.
NMISAFE_SAME(nmisafe_nmi_block, tss, trap::nmi_block, tss);
static_assert(sizeof(nmisafe_nmi_block) >= sizeof(trap::nmi_block) &&
              alignof(nmisafe_nmi_block) == alignof(trap::nmi_block));
static_assert(sizeof(nmisafe_tss) == sizeof(x86::tss_64));
NMISAFE_SAME(nmisafe_tss, rsp, x86::tss_64, rsp);
NMISAFE_SAME(nmisafe_tss, ist, x86::tss_64, ist);
NMISAFE_SAME(nmisafe_tss, io_map_base, x86::tss_64, io_map_base);
static_assert(NMISAFE_NMI_IST == trap::nmi_ist, "compile C and C++ with the same NMI_IST");
static_assert(NMISAFE_SMALLEST_NMI_STACK >= trap::smallest_nmi_stack);
#endif
static_assert(sizeof(int) == sizeof(nmisafe_error), "no -fshort-enums: other files may be without");

} // namespace nmisafe::c
