// SPDX-License-Identifier: MIT
// The windows of trace-in-nmi: each is a call of the action named in trace_windows.S.
#pragma once

#include "nmisafe/x86/assembly_call.hpp"

extern "C" {
#define TRACE_WINDOW(name)                                                                         \
    [[NMISAFE_ASSEMBLY_CALL]] void window_##name();                                                \
    extern const char window_##name##_begin[], window_##name##_end[]
TRACE_WINDOW(event_discard);
TRACE_WINDOW(event_overwrite);
TRACE_WINDOW(switch_discard);
TRACE_WINDOW(switch_overwrite);
TRACE_WINDOW(event_lost);
TRACE_WINDOW(probed_discard);
TRACE_WINDOW(probed_switch);
TRACE_WINDOW(patched_discard);
TRACE_WINDOW(patched_switch);
TRACE_WINDOW(clock_update);
#undef TRACE_WINDOW

[[NMISAFE_ASSEMBLY_CALL]] void trace_event_action();
[[NMISAFE_ASSEMBLY_CALL]] void clock_update_action();
}
