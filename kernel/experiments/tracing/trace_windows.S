// SPDX-License-Identifier: MIT
// The windows of trace-in-nmi, for both widths.
#include "kernel/experiments/shared/window_macros.h"

    .text

calling_window window_event_discard, trace_event_action
calling_window window_event_overwrite, trace_event_action
calling_window window_switch_discard, trace_event_action
calling_window window_switch_overwrite, trace_event_action
calling_window window_event_lost, trace_event_action
calling_window window_probed_discard, trace_event_action
calling_window window_probed_switch, trace_event_action
calling_window window_patched_discard, trace_event_action
calling_window window_patched_switch, trace_event_action
calling_window window_clock_update, clock_update_action

    .section .note.GNU-stack, "", @progbits
