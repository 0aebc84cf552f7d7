// SPDX-License-Identifier: MIT
// The experiments, by name.
#pragma once

#include "kernel/common/text.hpp"

namespace kernel {

/// Runs one experiment, which prints its records; panics if there is none of that name.
/// @context thread, CPU 0, interrupts on
void run_experiment(text name);

// Each is in the file of its name.
void run_hello();
void return_path();
void breakpoint_in_nmi(); // trap_in_nmi.cpp
void page_fault_in_nmi(); // trap_in_nmi.cpp
void every_instruction();
void flag_window();
void not_plain();
void interrupt_storm();
void nmi_state();
void nmi_like();
void nmi_latch();
void nmi_stepping();
void nmi_stepping_storm(); // nmi_stepping.cpp
void vectors();
void events_under_nmi();
void asking_under_nmi();
void from_outside();
/// from-outside with mode=user; `in_kernel`: a window that raises an NMI here.
void user_from_outside(void (*in_kernel)());
void start_under_nmi();
void threads();
void costs();
void patch_costs();
void patch_under_nmi();
void patch_storm();
void marker_in_nmi();
void kprobe_in_nmi();
void kprobe_sweep(); // kprobe_in_nmi.cpp
void vmalloc_in_nmi();
void vmalloc_under_change();
void vmalloc_parallel();
void vmalloc_torn_down();
void vmalloc_top_entry();
void module_in_nmi();
void module_probed();
void module_mutated();
void refused_in_nmi();
void trace_in_nmi();
void trace_example();
void crash_in_event();
void profile_in_nmi();
void user_roads();
void hostile_tasks();
void user_attacks(); // user_attacks_x86_32.cpp on x86-32
void user_every_instruction();
void nmi_from_user();      // user_every_instruction.cpp
void user_isolation();     // where page tables are isolated
void crash_task_tables();  // user_isolation.cpp
void user_access_check();  // where the entries of user mode have CLAC
void crash_double_fault(); // crashes.cpp, as all that follow
void crash_stack_overflow();
void crash_unexpected();
void crash_corrupt_frame();
void crash_bad_segment();
void crash_bad_access();
void crash_probed_access();
void crash_stuck_in_nmi(); // crashes_in_nmi.cpp, as all that follow
void crash_panic_in_nmi();
void crash_two_panics();
void crash_nmi_overflow();
void crash_under_nmis();
void crash_task_double_fault();
void crash_nmi_left();      // nmi_nested_return.cpp
void crash_nmi_like_left(); // nmi_like_abandoned.cpp
void crash_nmis_too_deep(); // x86-64

} // namespace kernel
