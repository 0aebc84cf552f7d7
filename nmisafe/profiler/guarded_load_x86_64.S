// SPDX-License-Identifier: MIT
// x86-64: guarded_load.hpp. The twin of guarded_load_x86_32.S.
//
// In the section that no probe may touch: a probe on the load would execute it elsewhere, and the fault would
// then have another address.
#ifdef __x86_64__

    .section nmisafe_trap_text, "ax", @progbits

/// bool nmisafe_profiler_load(uintptr_t address, uintptr_t* to). No stack but the return address:
///
///   +0x00  return address       <- RSP, at the load and at nmisafe_profiler_load_failed
    .globl  nmisafe_profiler_load, nmisafe_profiler_load_access, nmisafe_profiler_load_failed
    .type   nmisafe_profiler_load, @function
nmisafe_profiler_load:
    .cfi_startproc
// The one instruction that may fault. By RDI and not RSP or RBP: an address that is not canonical is a #GP then, and
// not a #SS. [intel/vol3 6.15]
nmisafe_profiler_load_access:
    movq    (%rdi), %rdx
    movq    %rdx, (%rsi)
    movl    $1, %eax
    ret
// Where handle_fault() lets it go on.
nmisafe_profiler_load_failed:
    xorl    %eax, %eax
    ret
    .cfi_endproc
    .size   nmisafe_profiler_load, . - nmisafe_profiler_load
#endif // __x86_64__

    .section .note.GNU-stack, "", @progbits
