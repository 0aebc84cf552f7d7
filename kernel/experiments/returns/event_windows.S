// SPDX-License-Identifier: MIT
// The windows of events-under-nmi, asking-under-nmi and from-outside, for both widths: each calls the
// function that has the event.
#include "kernel/experiments/shared/window_macros.h"

    .text

calling_window window_debug, debug_action
calling_window window_machine_check, machine_check_action
calling_window window_wake, wake_action
calling_window window_tick, tick_action
calling_window window_synchronise, synchronise_action
calling_window window_flush, flush_action
calling_window window_grace_period, grace_period_action
calling_window window_ask_synchronise, ask_synchronise_action
calling_window window_ask_grace_period, ask_grace_period_action
calling_window window_outside, outside_action

/// void raise_nmi_vector(void): INT 2, which blocks no NMIs
    .globl  raise_nmi_vector
    .type   raise_nmi_vector, @function
raise_nmi_vector:
    int     $2
    ret

    .section .note.GNU-stack, "", @progbits
