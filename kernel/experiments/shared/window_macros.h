// SPDX-License-Identifier: MIT
// A window around a call, for both widths: assembly only. As those of windows_x86_*.S.
#ifndef KERNEL_EXPERIMENTS_SHARED_WINDOW_MACROS_H
#define KERNEL_EXPERIMENTS_SHARED_WINDOW_MACROS_H

#include "kernel/experiments/shared/windows.h"
#include "nmisafe/x86/indirect_target.h"

#ifdef __x86_64__
#define SP %rsp
#define CALL_ALIGNMENT 8 // from the caller's alignment to that of a call, 16 bytes
#else
#define SP %esp
#define CALL_ALIGNMENT 12
#endif

// void NAME(void): the window is the call of ACTION
.macro calling_window name:req, action:req
    .globl  \name, \name\()_begin, \name\()_end
    .type   \name, @function
    .balign 16
\name:
    indirect_target
    lea     -CALL_ALIGNMENT(SP), SP
    .rept   WINDOW_SLED
    nop
    .endr
\name\()_begin:
    call    \action
\name\()_end:
    lea     CALL_ALIGNMENT(SP), SP
    ret
.endm

#endif
