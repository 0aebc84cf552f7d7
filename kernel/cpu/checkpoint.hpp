// SPDX-License-Identifier: MIT
// A place to go back to, whatever became of the code in between: like setjmp and longjmp, but back
// with an IRET.
//
// For the controls, where an NMI handler has been run over by another NMI and its frame is lost:
// the experiment abandons the handler and goes back to before the NMI. An IRET, because only that
// unblocks NMIs, which the abandoned handler never will.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/assembly_call.hpp"

namespace kernel {

/// The callee-saved registers of the ABI, where to go on, and the counts that an abandoned handler
/// leaves behind. checkpoint_x86_*.S knows the order.
struct checkpoint {
    uintptr_t ip, sp, flags, bx, bp;
#ifdef __x86_64__
    uintptr_t r12, r13, r14, r15;
#else
    uintptr_t si, di;
#endif
    uint32_t preempt_count, nmi_in_progress, nmi_like_in_progress;
#ifdef NMISAFE_SHADOW_STACK
    uintptr_t ssp; // 0: no shadow stack
#endif
};

/// Returns false; and true each time checkpoint_resume() comes back here. The function that called
/// it must not have returned meanwhile. Local variables changed in between must be volatile.
/// @context thread or irq
[[gnu::returns_twice, NMISAFE_ASSEMBLY_CALL]] bool
checkpoint_save(checkpoint& here) asm("kernel_checkpoint_save");

/// Goes back, with the flags of then and NMIs unblocked, on the same CPU. What lies on the stack
/// beyond the place of checkpoint_save() is abandoned. Does not restore CR2, CR3, DR7 or GS.
/// @context any
[[noreturn, NMISAFE_ASSEMBLY_CALL]] void
checkpoint_resume(checkpoint& there) asm("kernel_checkpoint_resume");

} // namespace kernel
