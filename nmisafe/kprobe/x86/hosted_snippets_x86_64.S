// SPDX-License-Identifier: MIT
// Instructions for the hosted test: each is run as it is, then with a probe on it, and must leave
// the same registers, flags and stack.
#ifdef __x86_64__

#define SLOTS 64
#define SLOT_SIZE 32

// A snippet is called with all registers set. The probe goes on the instruction at its label `at`;
// at `next` the CPU is behind it.
    .text
    .macro snippet name:req
    .balign 16
\name\()_begin:
    .endm
    .macro snippet_end name:req
    .pushsection .data.snippets, "aw"
    .quad   \name\()_begin, \name\()_at, \name\()_next, \name\()_name
    .popsection
    .pushsection .rodata
\name\()_name:
    .asciz  "\name"
    .popsection
    .endm

// simple name, instruction: nothing around it.
    .macro simple name:req, instruction:vararg
    snippet \name
\name\()_at:
    \instruction
\name\()_next:
    ret
    snippet_end \name
    .endm

    .pushsection .data.snippets, "aw"
    .globl  hosted_snippets
    .balign 8
hosted_snippets:
    .popsection

    simple  mov_register, movq %rbx, %rax
    simple  mov_immediate, movabsq $0x1122334455667788, %r11
    simple  add, addl %edx, %ecx
    simple  adc_memory, adcq %rax, (%rsi)
    simple  mul, mulq %rbx
    simple  lea_relative, leaq hosted_words(%rip), %r9
    simple  load_relative, movq hosted_words+8(%rip), %r9
    simple  store_relative_immediate, movl $0x12345678, hosted_words+16(%rip)
    simple  exchange_relative, lock xaddq %rbx, hosted_words(%rip)
    simple  load_stack, movq (%rsp), %rdx
    simple  string, rep movsb
    simple  nop, nopw 0x100(%rax,%rax)
    simple  cmpxchg, lock cmpxchgq %rbx, (%rsi)
    simple  bit_scan, bsrq %rbx, %rdi
    simple  set_direction, std

    snippet push
push_at:
    pushq   %r13
push_next:
    popq    %rbp
    ret
    snippet_end push

    snippet push_stack_pointer
push_stack_pointer_at:
    pushq   %rsp
push_stack_pointer_next:
    popq    %rbp
    ret
    snippet_end push_stack_pointer

    snippet push_flags
push_flags_at:
    pushfq
push_flags_next:
    popq    %rbp
    ret
    snippet_end push_flags

    snippet pop_flags
    pushq   $0x8d5
pop_flags_at:
    popfq
pop_flags_next:
    ret
    snippet_end pop_flags

    snippet leave
    movq    %rsp, %rbp
    pushq   %rbp
    leaq    (%rsp), %rbp
leave_at:
    leave
leave_next:
    ret
    snippet_end leave

// A call, whose target keeps the return address it finds in RBP and returns.
    .balign 16
call_target:
    movq    (%rsp), %rbp
    ret
    .balign 16
call_target_pops:
    movq    (%rsp), %rbp
    ret     $16
    .pushsection .data, "aw"
call_pointers:
    .quad   call_target, jump_memory_target
    .popsection

    .macro calling name:req, instruction:vararg
    snippet \name
    leaq    call_target(%rip), %r12
    leaq    call_pointers(%rip), %r14
\name\()_at:
    \instruction
\name\()_next:
    ret
    snippet_end \name
    .endm
    calling call_relative, call call_target
    calling call_register, call *%r12
    calling call_memory, call *(%r14)
    calling call_relative_memory, call *call_pointers(%rip)

    snippet call_stack
    pushq   call_pointers(%rip)
call_stack_at:
    call    *(%rsp)
call_stack_next:
    leaq    8(%rsp), %rsp
    ret
    snippet_end call_stack

    snippet jump_memory
    leaq    call_pointers(%rip), %r14
jump_memory_at:
    jmp     *8(%r14)
    ud2
jump_memory_target:
jump_memory_next:
    ret
    snippet_end jump_memory

    snippet jump_register
    leaq    jump_register_next(%rip), %r12
jump_register_at:
    jmp     *%r12
    ud2
jump_register_next:
    ret
    snippet_end jump_register

    snippet jump_relative
jump_relative_at:
    jmp     jump_relative_next
    ud2
jump_relative_next:
    ret
    snippet_end jump_relative

    .macro jumping name:req, instruction:req
    snippet \name
\name\()_at:
    \instruction \name\()_next
    incq    %r10
\name\()_next:
    ret
    snippet_end \name
    .endm
    jumping jump_if_carry, jc
    jumping jump_if_no_carry, jnc
    jumping jump_if_less, jl
    jumping jump_if_above, ja
    jumping jump_if_parity, jp
    jumping loop_forward, loop
    jumping loop_equal, loope
    jumping loop_not_equal, loopne
    jumping jump_if_rcx_zero, jrcxz

    snippet loop_short
loop_short_at:
    addr32 loop loop_short_next
    incq    %r10
loop_short_next:
    ret
    snippet_end loop_short

    snippet return
    call    1f
return_next:
    ret
1:  incq    %r10
return_at:
    ret
    snippet_end return

    snippet return_and_pop
    pushq   %rax
    pushq   %rbx
    call    1f
return_and_pop_next:
    ret
1:  incq    %r10
return_and_pop_at:
    ret     $16
    snippet_end return_and_pop

    .pushsection .data.snippets, "aw"
    .globl  hosted_snippets_end
hosted_snippets_end:
    .popsection

// void hosted_run(hosted_state*, const void* code): loads all registers from the state, calls the
// code, and stores all registers to the state.
#define STATE_DI (14 * 8)
#define STATE_FLAGS (15 * 8)
#define STATE_SP (16 * 8)

    .globl  hosted_run
    .type   hosted_run, @function
    .balign 16
hosted_run:
    .irp    register, rbx, rbp, r12, r13, r14, r15
    pushq   %\register
    .endr
    movq    %rsp, hosted_home(%rip)
    movq    %rdi, hosted_current(%rip)
    movq    %rsi, hosted_code(%rip)
    movq    %rdi, %rsp
    .irp    register, rax, rcx, rdx, rbx, rbp, rsi, r8, r9, r10, r11, r12, r13, r14, r15
    popq    %\register
    .endr
    movq    STATE_SP(%rdi), %rsp
    pushq   STATE_FLAGS(%rdi)
    movq    STATE_DI(%rdi), %rdi
    popfq
    call    *hosted_code(%rip)
    movq    %rdi, hosted_di(%rip)
    movq    hosted_current(%rip), %rdi
    movq    %rsp, STATE_SP(%rdi)
    pushfq
    popq    STATE_FLAGS(%rdi)
    leaq    STATE_DI(%rdi), %rsp
    .irp    register, r15, r14, r13, r12, r11, r10, r9, r8, rsi, rbp, rbx, rdx, rcx, rax
    pushq   %\register
    .endr
    movq    hosted_di(%rip), %rax
    movq    %rax, STATE_DI(%rdi)
    movq    hosted_home(%rip), %rsp
    cld
    .irp    register, r15, r14, r13, r12, rbp, rbx
    popq    %\register
    .endr
    ret
    .size   hosted_run, . - hosted_run

// uint32_t hosted_sum(): 5050, by calls, jumps and loops, with nothing but its registers.
    .globl  hosted_sum, hosted_sum_end
    .type   hosted_sum, @function
    .balign 16
hosted_sum:
    xorl    %eax, %eax
    movl    $100, %ecx
    leaq    .Ladd(%rip), %rdx
.Lnext:
    testb   $1, %cl
    jz      .Leven
    call    .Ladd
    jmp     .Lcount
.Leven:
    call    *%rdx
.Lcount:
    loop    .Lnext
    leaq    .Lout(%rip), %rdx
    jmp     *%rdx
.Lout:
    ret
.Ladd:
    pushq   %rcx
    addl    (%rsp), %eax
    popq    %rcx
    ret
hosted_sum_end:
    .size   hosted_sum, . - hosted_sum

    .globl  hosted_slots
    .balign SLOT_SIZE
hosted_slots:
    .skip   SLOTS * SLOT_SIZE, 0xcc

    .bss
    .balign 16                          // as the ABI has it for an array of 16 bytes or more
    .globl  hosted_words
hosted_words:
    .skip   64
hosted_home:
    .skip   8
hosted_current:
    .skip   8
hosted_code:
    .skip   8
hosted_di:
    .skip   8

#endif // __x86_64__

    .section .note.GNU-stack, "", @progbits
