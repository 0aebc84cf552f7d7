// SPDX-License-Identifier: MIT
// What the probes stand on. In each of them the library reads or changes another word of the kernel's own frame.
    .text
/// AX: a number; 16 more when it returns. Takes CX and the flags.
    .globl  probed_function, probe_loop, probe_jump, probe_call, probe_return, probe_slots
probed_function:
    movl    $5, %ecx
1:  addl    %ecx, %eax
probe_loop:                             // counts CX down in the frame
    loop    1b
    testl   %eax, %eax
probe_jump:                             // asks its flags
    jnz     2f
    hlt
2:
probe_call:                             // goes by a slot, which pushes where the frame's SP says
    call    add_one
probe_return:                           // takes its IP from there
    ret
add_one:
    incl    %eax
    ret

    .balign 32
probe_slots:
    .skip   4 * 32, 0xcc

    .section .note.GNU-stack, "", @progbits
