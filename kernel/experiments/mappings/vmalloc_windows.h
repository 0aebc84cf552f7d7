// SPDX-License-Identifier: MIT
// The windows of the vmalloc experiments: each is a call of the action named in vmalloc_windows.S.
#pragma once

#include "nmisafe/x86/assembly_call.hpp"

extern "C" {
[[NMISAFE_ASSEMBLY_CALL]] void window_thread_vmalloc();
extern const char window_thread_vmalloc_begin[], window_thread_vmalloc_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_switch();
extern const char window_switch_begin[], window_switch_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_switch_fault();
extern const char window_switch_fault_begin[], window_switch_fault_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_map();
extern const char window_map_begin[], window_map_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_unmap();
extern const char window_unmap_begin[], window_unmap_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_fault_created();
extern const char window_fault_created_begin[], window_fault_created_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_fault_torn_down();
extern const char window_fault_torn_down_begin[], window_fault_torn_down_end[];

[[NMISAFE_ASSEMBLY_CALL]] void thread_vmalloc_action();
[[NMISAFE_ASSEMBLY_CALL]] void switch_action();
[[NMISAFE_ASSEMBLY_CALL]] void switch_fault_action();
[[NMISAFE_ASSEMBLY_CALL]] void map_action();
[[NMISAFE_ASSEMBLY_CALL]] void unmap_action();
[[NMISAFE_ASSEMBLY_CALL]] void read_twice_action();
}
