// SPDX-License-Identifier: MIT
// The code windows of the patching experiments, and the code that only they patch.
#ifndef KERNEL_EXPERIMENTS_PATCH_WINDOWS_H
#define KERNEL_EXPERIMENTS_PATCH_WINDOWS_H

#define PATCH_COST_SITES 10000
#define PATCH_COST_SITE_SIZE 5 // MOV $0, %eax

#ifndef __ASSEMBLER__

#include "nmisafe/base/std.hpp"

extern "C" {

/// Each calls its action; the window is the call, from the instruction itself to the return.
void window_value();
void window_branch_on();
void window_branch_off();
void window_handler_before();
void window_handler_after();
void patch_action();
void site_action();
extern const char window_value_begin[], window_value_end[];
extern const char window_branch_on_begin[], window_branch_on_end[];
extern const char window_branch_off_begin[], window_branch_off_end[];
extern const char window_handler_before_begin[], window_handler_before_end[];
extern const char window_handler_after_begin[], window_handler_after_end[];

/// `mov $0, %eax`, PATCH_COST_SITES times. Nobody executes them.
extern const char patch_cost_sites[];
}

#endif // __ASSEMBLER__
#endif
