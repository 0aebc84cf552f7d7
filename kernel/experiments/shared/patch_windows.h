// SPDX-License-Identifier: MIT
// The code windows of the patching experiments, and the code that only they patch.
#ifndef KERNEL_EXPERIMENTS_SHARED_PATCH_WINDOWS_H
#define KERNEL_EXPERIMENTS_SHARED_PATCH_WINDOWS_H

#define PATCH_COST_SITES 10000
#define PATCH_COST_BATCH 1000 // of them, hit while they are patched
#define PATCH_COST_SITE_SIZE 5 // MOV $0, %eax

#ifndef __ASSEMBLER__

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/assembly_call.hpp"

namespace kernel {

/// A window below.
struct code_window {
    nmisafe::x86::assembly_function* run;
    const char* begin;
    const char* end;
};

} // namespace kernel

extern "C" {

/// Each calls its action; the window is the call, from the instruction itself to the return.
[[NMISAFE_ASSEMBLY_CALL]] void window_value();
[[NMISAFE_ASSEMBLY_CALL]] void window_branch_on();
[[NMISAFE_ASSEMBLY_CALL]] void window_branch_off();
[[NMISAFE_ASSEMBLY_CALL]] void window_handler_before();
[[NMISAFE_ASSEMBLY_CALL]] void window_handler_after();
[[NMISAFE_ASSEMBLY_CALL]] void patch_action();
[[NMISAFE_ASSEMBLY_CALL]] void site_action();
extern const char window_value_begin[], window_value_end[];
extern const char window_branch_on_begin[], window_branch_on_end[];
extern const char window_branch_off_begin[], window_branch_off_end[];
extern const char window_handler_before_begin[], window_handler_before_end[];
extern const char window_handler_after_begin[], window_handler_after_end[];

// The same, for what the experiments costs and patch-costs count.
[[NMISAFE_ASSEMBLY_CALL]] void window_patch_1();
[[NMISAFE_ASSEMBLY_CALL]] void window_patch_100();
[[NMISAFE_ASSEMBLY_CALL]] void window_patch_10000();
[[NMISAFE_ASSEMBLY_CALL]] void window_marker_dormant();
[[NMISAFE_ASSEMBLY_CALL]] void window_marker_hit();
[[NMISAFE_ASSEMBLY_CALL]] void window_marker_two();
[[NMISAFE_ASSEMBLY_CALL]] void patch_cost_action();
[[NMISAFE_ASSEMBLY_CALL]] void marker_dormant_action();
[[NMISAFE_ASSEMBLY_CALL]] void marker_hit_action();
[[NMISAFE_ASSEMBLY_CALL]] void marker_two_action();
extern const char window_patch_1_begin[], window_patch_1_end[];
extern const char window_patch_100_begin[], window_patch_100_end[];
extern const char window_patch_10000_begin[], window_patch_10000_end[];
extern const char window_marker_dormant_end[];
extern const char window_marker_hit_end[];
extern const char window_marker_two_end[];

/// The window is one instruction: `mov $0, %eax` of 5 bytes, `nop`, `add $1, %eax`.
[[NMISAFE_ASSEMBLY_CALL]] void window_patched_mov();
[[NMISAFE_ASSEMBLY_CALL]] void window_probed_nop();
[[NMISAFE_ASSEMBLY_CALL]] void window_probed_add();
extern const char window_patched_mov_begin[], window_patched_mov_end[];
extern const char window_probed_nop_begin[], window_probed_nop_end[];
extern const char window_probed_add_begin[], window_probed_add_end[];

/// `mov $0, %eax`, PATCH_COST_SITES times.
[[NMISAFE_ASSEMBLY_CALL]] void patch_cost_sites();
}

#endif // __ASSEMBLER__
#endif
