// SPDX-License-Identifier: MIT
// The windows of the vmalloc experiments, for both widths.
#include "kernel/experiments/shared/window_macros.h"

    .text

calling_window window_thread_vmalloc, thread_vmalloc_action
calling_window window_switch, switch_action
calling_window window_switch_fault, switch_fault_action
calling_window window_map, map_action
calling_window window_unmap, unmap_action
calling_window window_fault_created, read_twice_action
calling_window window_fault_torn_down, read_twice_action

    .section .note.GNU-stack, "", @progbits
