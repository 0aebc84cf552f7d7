// SPDX-License-Identifier: MIT
// The windows of the patching experiments and of what patching costs, for both widths. As those of
// windows_x86_*.S.
#include "kernel/experiments/shared/patch_windows.h"
#include "kernel/experiments/shared/window_macros.h"

    .text

// One for each path, so that their walks can be told apart in QEMU's log.
calling_window window_value, patch_action
calling_window window_branch_on, patch_action
calling_window window_branch_off, patch_action
calling_window window_handler_before, site_action
calling_window window_handler_after, site_action

calling_window window_patch_1, patch_cost_action
calling_window window_patch_100, patch_cost_action
calling_window window_patch_10000, patch_cost_action
calling_window window_marker_dormant, marker_dormant_action
calling_window window_marker_hit, marker_hit_action
calling_window window_marker_two, marker_two_action

// A window that is one instruction, to be patched or probed. It may change the accumulator.
.macro instruction_window name:req, instruction:vararg
    .globl  \name, \name\()_begin, \name\()_end
    .type   \name, @function
    .balign 16
\name:
    indirect_target
\name\()_begin:
    \instruction
\name\()_end:
    ret
.endm

instruction_window window_patched_mov, movl $0, %eax
instruction_window window_probed_nop, nop
instruction_window window_probed_add, addl $1, %eax

    .globl  patch_cost_sites
    .type   patch_cost_sites, @function
patch_cost_sites:
    .rept   PATCH_COST_SITES
    movl    $0, %eax
    .endr
    ret

    .section .note.GNU-stack, "", @progbits
