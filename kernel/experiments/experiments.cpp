// SPDX-License-Identifier: MIT
#include "kernel/experiments/experiments.hpp"

#include "kernel/panic/panic.hpp"

namespace kernel {

namespace {

constexpr struct {
    text name;
    void (*run)();
} experiments[] = {
    {"hello", run_hello},
    {"return-path", return_path},
    {"breakpoint-in-nmi", breakpoint_in_nmi},
    {"page-fault-in-nmi", page_fault_in_nmi},
    {"every-instruction", every_instruction},
    {"flag-window", flag_window},
    {"not-plain", not_plain},
    {"interrupt-storm", interrupt_storm},
    {"nmi-state", nmi_state},
    {"nmi-like", nmi_like},
    {"nmi-latch", nmi_latch},
    {"nmi-stepping", nmi_stepping},
    {"nmi-stepping-storm", nmi_stepping_storm},
    {"vectors", vectors},
    {"events-under-nmi", events_under_nmi},
    {"asking-under-nmi", asking_under_nmi},
    {"from-outside", from_outside},
    {"start-under-nmi", start_under_nmi},
    {"threads", threads},
    {"costs", costs},
    {"patch-costs", patch_costs},
    {"patch-under-nmi", patch_under_nmi},
    {"patch-storm", patch_storm},
    {"marker-in-nmi", marker_in_nmi},
    {"kprobe-in-nmi", kprobe_in_nmi},
    {"kprobe-sweep", kprobe_sweep},
    {"vmalloc-in-nmi", vmalloc_in_nmi},
    {"vmalloc-under-change", vmalloc_under_change},
    {"vmalloc-parallel", vmalloc_parallel},
    {"module-in-nmi", module_in_nmi},
    {"module-probed", module_probed},
    {"module-mutated", module_mutated},
    {"vmalloc-torn-down", vmalloc_torn_down},
    {"vmalloc-top-entry", vmalloc_top_entry},
    {"refused-in-nmi", refused_in_nmi},
    {"trace-in-nmi", trace_in_nmi},
    {"trace-example", trace_example},
    {"crash-in-event", crash_in_event},
    {"profile-in-nmi", profile_in_nmi},
    {"user-roads", user_roads},
    {"hostile-tasks", hostile_tasks},
    {"user-attacks", user_attacks},
    {"user-every-instruction", user_every_instruction},
    {"nmi-from-user", nmi_from_user},
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    {"user-isolation", user_isolation},
    {"crash-task-tables", crash_task_tables},
#endif
#ifdef NMISAFE_USER_CLAC
    {"user-access-check", user_access_check},
#endif
    {"crash-double-fault", crash_double_fault},
    {"crash-stack-overflow", crash_stack_overflow},
    {"crash-unexpected", crash_unexpected},
    {"crash-corrupt-frame", crash_corrupt_frame},
    {"crash-bad-segment", crash_bad_segment},
    {"crash-bad-access", crash_bad_access},
    {"crash-probed-access", crash_probed_access},
    {"crash-stuck-in-nmi", crash_stuck_in_nmi},
    {"crash-panic-in-nmi", crash_panic_in_nmi},
    {"crash-two-panics", crash_two_panics},
    {"crash-nmi-overflow", crash_nmi_overflow},
    {"crash-under-nmis", crash_under_nmis},
    {"crash-task-double-fault", crash_task_double_fault},
    {"crash-nmi-left", crash_nmi_left},
    {"crash-nmi-like-left", crash_nmi_like_left},
#ifdef __x86_64__
    {"crash-nmis-too-deep", crash_nmis_too_deep},
#endif
};

} // namespace

void run_experiment(text name) {
    for (const auto& experiment : experiments)
        if (experiment.name == name) {
            experiment.run();
            return;
        }
    panic("unknown experiment", nullptr, 0);
}

} // namespace kernel
