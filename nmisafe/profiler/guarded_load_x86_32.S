// SPDX-License-Identifier: MIT
// x86-32: guarded_load.hpp. The twin of guarded_load_x86_64.S.
//
// In the section that no probe may touch: a probe on the load would execute it elsewhere, and the fault would
// then have another address.
#ifdef __i386__

    .section nmisafe_trap_text, "ax", @progbits

/// bool nmisafe_profiler_load(uintptr_t address, uintptr_t* to):
///
///   +0x08  to
///   +0x04  address
///   +0x00  return address       <- ESP, at the load and at nmisafe_profiler_load_failed
    .globl  nmisafe_profiler_load, nmisafe_profiler_load_access, nmisafe_profiler_load_failed
    .type   nmisafe_profiler_load, @function
nmisafe_profiler_load:
    .cfi_startproc
    movl    4(%esp), %eax
    movl    8(%esp), %ecx
// The one instruction that may fault.
nmisafe_profiler_load_access:
    movl    (%eax), %edx
    movl    %edx, (%ecx)
    movl    $1, %eax
    ret
// Where handle_fault() lets it go on.
nmisafe_profiler_load_failed:
    xorl    %eax, %eax
    ret
    .cfi_endproc
    .size   nmisafe_profiler_load, . - nmisafe_profiler_load
#endif // __i386__

    .section .note.GNU-stack, "", @progbits
