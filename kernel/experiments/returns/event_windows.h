// SPDX-License-Identifier: MIT
// The windows of events-under-nmi, asking-under-nmi and from-outside: each is a call of the action named in
// event_windows.S.
#pragma once

#include "nmisafe/x86/assembly_call.hpp"

extern "C" {
[[NMISAFE_ASSEMBLY_CALL]] void window_debug();
extern const char window_debug_begin[], window_debug_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_machine_check();
extern const char window_machine_check_begin[], window_machine_check_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_wake();
extern const char window_wake_begin[], window_wake_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_tick();
extern const char window_tick_begin[], window_tick_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_synchronise();
extern const char window_synchronise_begin[], window_synchronise_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_flush();
extern const char window_flush_begin[], window_flush_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_grace_period();
extern const char window_grace_period_begin[], window_grace_period_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_ask_synchronise();
extern const char window_ask_synchronise_begin[], window_ask_synchronise_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_ask_grace_period();
extern const char window_ask_grace_period_begin[], window_ask_grace_period_end[];
[[NMISAFE_ASSEMBLY_CALL]] void raise_nmi_vector();
[[NMISAFE_ASSEMBLY_CALL]] void window_outside();
extern const char window_outside_begin[], window_outside_end[];

[[NMISAFE_ASSEMBLY_CALL]] void debug_action();
[[NMISAFE_ASSEMBLY_CALL]] void machine_check_action();
[[NMISAFE_ASSEMBLY_CALL]] void wake_action();
[[NMISAFE_ASSEMBLY_CALL]] void tick_action();
[[NMISAFE_ASSEMBLY_CALL]] void synchronise_action();
[[NMISAFE_ASSEMBLY_CALL]] void flush_action();
[[NMISAFE_ASSEMBLY_CALL]] void grace_period_action();
[[NMISAFE_ASSEMBLY_CALL]] void ask_synchronise_action();
[[NMISAFE_ASSEMBLY_CALL]] void ask_grace_period_action();
[[NMISAFE_ASSEMBLY_CALL]] void outside_action();
}
