// SPDX-License-Identifier: MIT
// The experiments, one line an entry. This is the file to edit when an experiment is added.
#include "tool/catalogue/catalogue.hpp"

namespace nmisafe::tool {

namespace {

constexpr expectation control = expectation::control;

// The policies that must be safe. far-nmi-count is the RFC's own: `far`, but only while the preempt
// count says NMI, so it leaves the windows before nmi_enter and after nmi_exit to IRET.
constexpr std::string_view nmi_safe = "far near far-nmi-count";
constexpr std::string_view always_safe = "far near";

constexpr std::string_view every_kernel = "x86_64 x86_32 x86_32_pae";

constexpr std::string_view every_policy = "far near far-nmi-count iret";

constexpr std::string_view sweep_paths =
    "nmi-breakpoint nmi-page-fault thread-breakpoint thread-breakpoint-if thread-page-fault "
    "nmi-vmalloc thread-vmalloc switch-vmalloc switch-fault";
constexpr std::string_view sweep_paths_of_control =
    "nmi-breakpoint nmi-page-fault thread-breakpoint thread-breakpoint-if thread-page-fault "
    "nmi-vmalloc thread-vmalloc";
constexpr std::string_view return_paths =
    "breakpoint-in-nmi page-fault-in-nmi breakpoint-in-thread page-fault-in-thread "
    "breakpoint-in-thread-if page-fault-in-thread-if";
constexpr std::string_view return_paths_in_nmi = "breakpoint-in-nmi page-fault-in-nmi";
constexpr std::string_view return_paths_in_thread =
    "breakpoint-in-thread page-fault-in-thread breakpoint-in-thread-if page-fault-in-thread-if";
constexpr std::string_view patch_paths = "value branch-on branch-off handler-before handler-after";
constexpr std::string_view attack_paths =
    "first-event last-event mov-ss at-entry flags step canonical bad-return bad-nmi-return refused";
constexpr std::string_view attack_paths_without_nmis =
    "first-event last-event mov-ss at-entry flags step canonical bad-return refused";
constexpr std::string_view attack_paths_32 =
    "step lost-segment mov-ss at-entry nested-task bad-return bad-segment bad-nmi-return nmi-stack "
    "virtual-8086 far-away refused";
constexpr std::string_view attack_paths_32_without_nmis =
    "step lost-segment mov-ss at-entry nested-task bad-return bad-segment virtual-8086 far-away "
    "refused";
constexpr std::string_view user_roads_64 =
    "breakpoint int-80 page-fault debug machine-check signal syscall syscall-iret nmi-stack "
    "nmi-frame nested-frame bad-return first-event";
constexpr std::string_view user_roads_of_control_64 =
    "breakpoint int-80 debug machine-check signal syscall syscall-iret nmi-stack nmi-frame "
    "nested-frame bad-return first-event";
constexpr std::string_view user_roads_32 =
    "breakpoint int-80 page-fault debug machine-check signal syscall syscall-iret syscall-step "
    "syscall-interrupt bad-segment bad-return";
constexpr std::string_view user_roads_of_control_32 =
    "breakpoint int-80 debug machine-check signal syscall syscall-iret syscall-step "
    "syscall-interrupt bad-segment bad-return";
constexpr std::string_view isolation_paths =
    "mapped syscall syscall-iret int-80 debug latch watched";
constexpr std::string_view trace_paths =
    "event-discard event-overwrite switch-discard switch-overwrite event-lost clock-update "
    "lazy-buffer probed-discard probed-switch patched-discard patched-switch";
constexpr std::string_view profile_faults_64 =
    "guard-page unmapped second-word non-canonical resolved swept";
constexpr std::string_view profile_faults_32 = "guard-page unmapped second-word resolved swept";
constexpr std::string_view profile_paths_64 =
    "guard-page unmapped second-word non-canonical resolved loop misaligned below swept";
constexpr std::string_view profile_paths_32 =
    "guard-page unmapped second-word resolved loop misaligned below swept";
constexpr std::string_view flag_paths = "before-nmi-enter after-nmi-exit";

// clang-format off
constexpr catalogue_entry entries[] = {
    {.experiment = "hello", .policies = "near", .processors = 8, .what = "the kernel boots, and all that the others rely on works: CPUs, threads, address spaces, each source of NMIs"},

    {.experiment = "return-path", .policies = nmi_safe, .image = "controls", .paths = return_paths, .paths_without_nmis = return_paths_in_thread, .counts_boundaries = true, .what = "INT3 and page faults in an NMI handler and in a thread: captured RIP, CS, RFLAGS and all registers come back intact"},
    {.experiment = "return-path", .policies = "iret", .expected = control, .symptom = "unsafe_irets", .image = "controls", .paths = return_paths_in_nmi},

    {.experiment = "breakpoint-in-nmi", .policies = nmi_safe, .processors = 2, .what = "an INT3 in the NMI handler is hit while NMIs keep being raised: the handler is never re-entered"},
    {.experiment = "breakpoint-in-nmi", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .processors = 2},
    {.experiment = "breakpoint-in-nmi", .policies = "iret", .latched = true, .processors = 2},
    {.experiment = "breakpoint-in-nmi", .policies = always_safe, .expected = control, .symptom = "corrupted", .without = "stacks,latch", .processors = 2, .architectures = "x86_64"},

    {.experiment = "page-fault-in-nmi", .policies = nmi_safe, .processors = 2, .what = "the NMI handler touches pages that are mapped only when they fault: never re-entered"},
    {.experiment = "page-fault-in-nmi", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .processors = 2},
    {.experiment = "page-fault-in-nmi", .policies = "iret", .latched = true, .processors = 2},

    {.experiment = "every-instruction", .policies = nmi_safe, .paths = sweep_paths, .counts_boundaries = true, .instruction_count = true, .trace = true, .architectures = every_kernel, .what = "an NMI at every instruction boundary of a breakpoint, a page fault and a fault on vmalloc'd memory, in NMI and in thread context"},
    {.experiment = "every-instruction", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = sweep_paths_of_control, .counts_boundaries = true, .instruction_count = true, .trace = true, .architectures = every_kernel},
    {.experiment = "every-instruction", .policies = "iret", .latched = true, .paths = sweep_paths_of_control, .counts_boundaries = true, .instruction_count = true, .architectures = every_kernel},

    {.experiment = "every-instruction", .policies = "near", .expected = control, .symptom = "failures", .without = "cr3", .paths = "switch-vmalloc switch-fault", .instruction_count = true, .architectures = every_kernel},

    {.experiment = "flag-window", .policies = always_safe, .image = "controls", .paths = flag_paths, .counts_boundaries = true, .what = "an INT3 before nmi_enter and after nmi_exit, where the preempt count does not say NMI yet"},
    {.experiment = "flag-window", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .image = "controls", .paths = flag_paths},
    {.experiment = "flag-window", .policies = "far-nmi-count", .expected = control, .symptom = "nested", .without = "latch", .image = "controls", .paths = flag_paths},
    {.experiment = "flag-window", .policies = "iret far-nmi-count", .latched = true, .image = "controls", .paths = flag_paths},

    {.experiment = "not-plain", .policies = always_safe, .counts_boundaries = true, .what = "images with TF, NT, RF or another CS go the IRET way, are counted and keep their meaning"},
    {.experiment = "not-plain", .policies = always_safe, .expected = control, .symptom = "failures", .without = "tf"},
    {.experiment = "not-plain", .policies = always_safe, .expected = control, .symptom = "failures", .without = "rf"},

    {.experiment = "interrupt-storm", .policies = always_safe, .paths = "storm every-boundary nmi-in-shadow", .paths_without_nmis = "storm every-boundary", .counts_boundaries = true, .instruction_count = true, .what = "interrupts that are always pending do not grow the stack between the flags and the return"},
    {.experiment = "interrupt-storm", .policies = always_safe, .expected = control, .symptom = "stack_growth", .without = "sti", .paths = "storm", .instruction_count = true},
    {.experiment = "interrupt-storm", .policies = always_safe, .expected = control, .symptom = "failures", .without = "rewind", .paths = "nmi-in-shadow", .instruction_count = true},

    {.experiment = "nmi-state", .policies = always_safe, .paths = "cr2 dr7 dr7-unarmed dr7-change dr7-debug gs gs-low gs-high", .counts_boundaries = true, .instruction_count = true, .what = "CR2 and the GS base leave an NMI as they entered it, DR7 so or as the handler asked"},
    {.experiment = "nmi-state", .policies = always_safe, .expected = control, .symptom = "failures", .without = "cr2", .paths = "cr2", .instruction_count = true},
    {.experiment = "nmi-state", .policies = always_safe, .expected = control, .symptom = "failures", .without = "dr7", .paths = "dr7 dr7-unarmed", .instruction_count = true},
    {.experiment = "nmi-state", .policies = always_safe, .expected = control, .symptom = "failures", .without = "gs", .paths = "gs gs-low gs-high", .instruction_count = true},

    {.experiment = "nmi-latch", .policies = always_safe, .paths = "entry-to-exit redo nested-twice stays-blocked false-positive storm bad-iret smi", .counts_boundaries = true, .instruction_count = true, .what = "NMIs let in while another is in progress, at every boundary from its entry to its return, by an IRET that faults, by an SMI: the handler is not re-entered, none is lost, all registers come back, the stack does not grow"},
    {.experiment = "nmi-latch", .policies = "near", .expected = control, .symptom = "nested", .without = "latch", .paths = "entry-to-exit redo storm", .instruction_count = true},
    {.experiment = "nmi-latch", .policies = "near", .expected = control, .symptom = "failures", .without = "nested-return", .options = "part=nested-return", .paths = "stays-blocked", .instruction_count = true},
    {.experiment = "nmi-latch", .policies = "iret", .latched = true, .options = "part=step", .paths = "step", .counts_boundaries = true},
    {.experiment = "nmi-latch", .policies = "iret", .expected = control, .symptom = "lost", .without = "boundary", .options = "part=step", .paths = "step", .architectures = "x86_64"},

    {.experiment = "nmi-stepping", .policies = always_safe, .latched = true, .paths = "whole breakpoints in-debug debug-entry from-user", .counts_boundaries = true, .instruction_count = true, .what = "a debugger steps through whole NMI handlers, with INT3, page faults and #MC in them, and raises an NMI at each step: each instruction once, none nested, none lost; breakpoints and watchpoints in the handler, hit as often as they should; the same in an NMI that has interrupted a #DB at any boundary"},
    {.experiment = "nmi-stepping-storm", .policies = always_safe, .latched = true, .processors = 2, .counts_boundaries = true, .what = "each NMI handler is stepped while another CPU sends NMIs all along: each instruction once, none nested, none lost"},
    {.experiment = "nmi-stepping", .policies = "near", .expected = control, .symptom = "nested", .without = "latch", .options = "part=whole", .paths = "whole from-user"},
    {.experiment = "nmi-stepping-storm", .policies = "near", .expected = control, .symptom = "nested", .without = "latch", .processors = 2},
    {.experiment = "nmi-stepping", .policies = "near", .expected = control, .symptom = "failures", .without = "step-end", .options = "part=whole", .paths = "whole from-user"},
    {.experiment = "nmi-stepping", .policies = "near", .expected = control, .symptom = "failures", .without = "dr7", .options = "part=breakpoints", .paths = "breakpoints"},
    {.experiment = "nmi-stepping", .policies = "near", .expected = control, .symptom = "failures", .without = "rf", .options = "part=breakpoints", .paths = "breakpoints"},
    {.experiment = "nmi-stepping", .policies = "near", .expected = control, .symptom = "failures", .without = "debug-stack", .options = "part=debugs", .paths = "in-debug debug-entry", .instruction_count = true, .architectures = "x86_64"},

    {.experiment = "nmi-like", .policies = always_safe, .image = "controls", .paths = "handlers hooks changes status cr2 abandoned", .paths_without_nmis = "changes status", .counts_boundaries = true, .what = "NMI, #DB and #MC inside each other, breakpoints in their handlers and hooks: none is hit, DR7 is afterwards what was asked for last, DR6 reports nothing twice, CR2 is kept"},
    {.experiment = "nmi-like", .policies = always_safe, .expected = control, .symptom = "failures", .without = "dr7", .image = "controls", .paths = "handlers hooks"},
    {.experiment = "nmi-like", .policies = always_safe, .expected = control, .symptom = "failures", .without = "cr2", .image = "controls", .paths = "cr2"},

    {.experiment = "vectors", .policies = nmi_safe, .counts_boundaries = true, .what = "each entry stub leads to its handler, on its stack, and back; #DB, #MC and an interrupt in an NMI keep the next one out"},
    {.experiment = "vectors", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch"},

    {.experiment = "user-roads", .policies = always_safe, .paths = "vectors events nmi syscall signals stepping threads", .paths_without_nmis = "vectors events syscall signals stepping threads", .counts_boundaries = true, .what = "every way from ring 3 into the kernel and back, each vector, SYSCALL or SYSENTER, faults, interrupts and NMIs: registers, flags, segments and bases come back, the kernel finds its own"},

    {.experiment = "hostile-tasks", .policies = "near", .processors = 2, .counts_boundaries = true, .timeout_seconds = 300, .what = "random hostile tasks beside NMIs: any registers, flags, selectors, stack and code; each return is compared with what the task had, each task run twice ends alike, none has a kernel address it was not given"},
    {.experiment = "hostile-tasks", .policies = "near", .expected = control, .symptom = "failures", .without = "user-fixup", .processors = 2},

    {.experiment = "events-under-nmi", .policies = "near", .paths = "debug machine-check nmi-debug nmi-machine-check wake tick synchronise flush grace-period", .counts_boundaries = true, .instruction_count = true, .trace = true, .what = "an NMI at every instruction boundary of #DB and #MC, in a thread and in an NMI, and of the interrupts that lead to the scheduler or answer another CPU"},
    {.experiment = "events-under-nmi", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = "debug machine-check nmi-debug nmi-machine-check wake tick synchronise flush grace-period", .instruction_count = true},

    {.experiment = "asking-under-nmi", .policies = "near", .paths = "synchronise grace-period", .processors = 2, .counts_boundaries = true, .instruction_count = true, .what = "an NMI at every instruction boundary of a CPU that asks another one to synchronise, or for a grace period, and waits: the question goes where it was to go"},
    {.experiment = "asking-under-nmi", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = "synchronise grace-period", .processors = 2, .instruction_count = true},
    {.experiment = "asking-under-nmi", .policies = "near", .expected = control, .symptom = "failures", .without = "target", .paths = "grace-period", .processors = 2, .instruction_count = true},

    {.experiment = "user-attacks", .policies = always_safe, .paths = attack_paths, .paths_without_nmis = attack_paths_without_nmis, .counts_boundaries = true, .architectures = "x86_64", .what = "what a hostile task tries: #DB as the kernel's first event with RSP and GS the task's, flags at SYSCALL, TF and NT at SYSENTER, SYSEXIT to the kernel, selectors and returns that fault or must not be, from system calls and NMIs: the task's fault, never the kernel's"},
    {.experiment = "user-attacks", .policies = always_safe, .expected = control, .symptom = "failures", .without = "user-gap", .paths = "first-event last-event", .architectures = "x86_64"},
    {.experiment = "user-attacks", .policies = "near", .expected = control, .symptom = "failures", .without = "user-gs", .paths = "first-event", .architectures = "x86_64"},
    {.experiment = "user-attacks", .policies = "far", .expected = control, .symptom = "failures", .without = "user-gs", .options = "part=at-entry", .paths = "at-entry", .architectures = "x86_64"},
    {.experiment = "user-attacks", .policies = "near", .expected = control, .symptom = "failures", .without = "user-mask", .paths = "flags", .architectures = "x86_64"},
    {.experiment = "user-attacks", .policies = "near", .expected = control, .symptom = "failures", .without = "user-step", .paths = "step", .architectures = "x86_64"},
    {.experiment = "user-attacks", .policies = "near", .expected = control, .symptom = "failures", .without = "user-fixup", .paths = "bad-return bad-nmi-return", .architectures = "x86_64"},
    {.experiment = "user-attacks", .policies = "near", .expected = control, .symptom = "failures", .without = "user-unblocking", .paths = "bad-nmi-return", .architectures = "x86_64"},
    {.experiment = "user-attacks", .policies = "near", .expected = control, .symptom = "failures", .without = "user-refusal", .paths = "refused", .architectures = "x86_64"},
    {.experiment = "user-attacks", .policies = always_safe, .paths = attack_paths_32, .paths_without_nmis = attack_paths_32_without_nmis, .counts_boundaries = true, .architectures = "x86_32"},
    {.experiment = "user-attacks", .policies = "near", .expected = control, .symptom = "failures", .without = "user-step", .paths = "step", .architectures = "x86_32"},
    {.experiment = "user-attacks", .policies = "near", .expected = control, .symptom = "failures", .without = "user-gs", .paths = "step at-entry", .architectures = "x86_32"},
    {.experiment = "user-attacks", .policies = "near", .expected = control, .symptom = "failures", .without = "user-mask", .paths = "nested-task", .architectures = "x86_32"},
    {.experiment = "user-attacks", .policies = "near", .expected = control, .symptom = "failures", .without = "user-fixup", .paths = "bad-return bad-segment bad-nmi-return", .architectures = "x86_32"},
    {.experiment = "user-attacks", .policies = "near", .expected = control, .symptom = "failures", .without = "user-unblocking", .paths = "bad-nmi-return", .architectures = "x86_32"},
    {.experiment = "user-attacks", .policies = "near", .expected = control, .symptom = "failures", .without = "user-refusal", .paths = "refused", .architectures = "x86_32"},

    {.experiment = "user-every-instruction", .policies = always_safe, .paths = user_roads_64, .counts_boundaries = true, .instruction_count = true, .trace = true, .architectures = "x86_64", .what = "an NMI at every instruction boundary of the roads from ring 3 into the kernel and back: INT3, INT 0x80, a page fault, a single step, a signal, SYSCALL or SYSENTER, a return that faults"},
    {.experiment = "user-every-instruction", .policies = always_safe, .paths = user_roads_32, .counts_boundaries = true, .instruction_count = true, .trace = true, .architectures = "x86_32"},
    {.experiment = "user-every-instruction", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = user_roads_of_control_64, .counts_boundaries = true, .instruction_count = true, .architectures = "x86_64"},
    {.experiment = "user-every-instruction", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = user_roads_of_control_32, .counts_boundaries = true, .instruction_count = true, .architectures = "x86_32"},
    {.experiment = "user-every-instruction", .policies = "near", .expected = control, .symptom = "failures", .without = "rewind", .paths = "syscall-interrupt", .counts_boundaries = true, .instruction_count = true, .architectures = "x86_32"},
    {.experiment = "user-every-instruction", .policies = "iret", .latched = true, .paths = user_roads_of_control_64, .counts_boundaries = true, .instruction_count = true, .architectures = "x86_64"},
    {.experiment = "user-every-instruction", .policies = "iret", .latched = true, .paths = user_roads_of_control_32, .counts_boundaries = true, .instruction_count = true, .architectures = "x86_32"},
    {.experiment = "nmi-from-user", .policies = always_safe, .paths = "nmi", .counts_boundaries = true, .instruction_count = true, .what = "an NMI in user mode, with another one pended at every instruction of its way"},
    {.experiment = "nmi-from-user", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = "nmi", .counts_boundaries = true, .instruction_count = true},
    {.experiment = "nmi-from-user", .policies = "iret", .latched = true, .paths = "nmi", .counts_boundaries = true, .instruction_count = true},

    {.experiment = "user-isolation", .policies = always_safe, .image = "hardened", .paths = isolation_paths, .paths_without_nmis = "mapped watched", .counts_boundaries = true, .instruction_count = true, .architectures = every_kernel, .what = "tasks whose page tables have next to nothing of the kernel: what they have, an NMI at every instruction of the ways into the kernel and back and #DB on the way back, after which the task still cannot find a page of the kernel's"},
    {.experiment = "user-isolation", .policies = "near", .expected = control, .symptom = "failures", .without = "tables-back", .image = "hardened", .paths = "syscall syscall-iret int-80 debug latch watched", .instruction_count = true, .architectures = every_kernel},
    {.experiment = "user-access-check", .policies = "near", .image = "hardened", .counts_boundaries = true, .architectures = "x86_64", .what = "AC is clear in the kernel, whatever the task has set: with SMAP it cannot touch the task's memory at a page fault, a step, an NMI, INT 0x80 or SYSCALL"},
    {.experiment = "user-access-check", .policies = "near", .expected = control, .symptom = "failures", .without = "clac", .image = "hardened", .architectures = "x86_64"},

    {.experiment = "threads", .policies = always_safe, .options = "late=1", .paths = "preemption grace-period joining", .paths_without_nmis = "joining", .processors = 5, .counts_boundaries = true, .timeout_seconds = 150, .what = "preempted threads in several address spaces on four CPUs, with NMIs from everywhere; a grace period costs a CPU with one preempt-disabled section after the other no more than one of them, and a CPU may come up while all are waited for"},
    {.experiment = "threads", .policies = "near", .expected = control, .symptom = "failures", .without = "section", .paths = "grace-period", .processors = 4},

    {.experiment = "marker-in-nmi", .policies = always_safe, .paths = "turning-on turning-off grace-period own-marker", .paths_without_nmis = "grace-period", .processors = 2, .counts_boundaries = true, .what = "the RFC's test: trace_mark in the NMI handler, with the INT3 on it for 10 ms at each step while NMIs keep being raised; its probe is called or not, as it should"},
    {.experiment = "marker-in-nmi", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = "turning-on turning-off", .processors = 2},
    {.experiment = "marker-in-nmi", .policies = "iret", .latched = true, .paths = "turning-on turning-off", .paths_without_nmis = "grace-period", .processors = 2, .counts_boundaries = true},
    {.experiment = "marker-in-nmi", .policies = "near", .expected = control, .symptom = "failures", .without = "grace", .paths = "grace-period", .processors = 2},
    {.experiment = "marker-in-nmi", .policies = "near", .expected = control, .symptom = "failures", .without = "cap", .paths = "own-marker", .processors = 2},

    {.experiment = "patch-under-nmi", .policies = always_safe, .paths = patch_paths, .counts_boundaries = true, .instruction_count = true, .trace = true, .what = "an NMI at every instruction of the text patcher and of its breakpoint handler executes the very site: the old value or the new"},
    {.experiment = "patch-under-nmi", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = "value", .instruction_count = true},
    {.experiment = "patch-under-nmi", .policies = "near", .expected = control, .symptom = "wrong_values", .without = "int3", .paths = "value", .instruction_count = true},
    {.experiment = "patch-under-nmi", .policies = "near", .expected = control, .symptom = "wrong_values", .without = "emulate", .paths = "value", .instruction_count = true},

    {.experiment = "patch-storm", .policies = always_safe, .processors = 4, .what = "four CPUs execute two sites from threads, interrupts and NMIs while they are toggled, 10,000 times under each policy: no wrong value, no lost NMI"},
    {.experiment = "patch-storm", .policies = always_safe, .expected = control, .symptom = "wrong_values", .without = "int3", .options = "toggles=500", .processors = 4},
    {.experiment = "patch-storm", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .processors = 4},

    {.experiment = "trace-in-nmi", .policies = always_safe, .paths = trace_paths, .counts_boundaries = true, .instruction_count = true, .what = "an NMI at every instruction of an event's writing, of the switch of packets and of the clock's update: its handler hits a breakpoint in the middle of an event of its own, whose handler faults in the middle of one, whose handler writes one; all are read or counted, no time goes back"},
    {.experiment = "trace-in-nmi", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = "event-discard switch-overwrite probed-discard", .instruction_count = true},
    {.experiment = "trace-in-nmi", .policies = "near", .expected = control, .symptom = "failures", .without = "fresh-time", .paths = "event-discard", .instruction_count = true},
    {.experiment = "trace-in-nmi", .policies = "near", .expected = control, .symptom = "failures", .without = "exchange", .paths = "event-discard probed-discard patched-discard", .instruction_count = true},
    {.experiment = "trace-in-nmi", .policies = "near", .expected = control, .symptom = "failures", .without = "emulate", .paths = "patched-discard patched-switch", .instruction_count = true},
    {.experiment = "trace-in-nmi", .policies = "near", .expected = control, .symptom = "failures", .without = "two-lines", .paths = "clock-update", .instruction_count = true},

    {.experiment = "trace-example", .policies = "near", .options = "trace=on", .processors = 4, .counts_boundaries = true, .what = "something of everything at once, to be recorded and looked at: threads, tasks in ring 3, interrupts, breakpoints, page faults and NMIs over each other on all CPUs, traced, each NMI with a sample: of threads, tasks, code with interrupts off, handlers of interrupts and a thread with a bad frame pointer"},

    {.experiment = "profile-in-nmi", .policies = always_safe, .paths = profile_paths_64, .counts_boundaries = true, .instruction_count = true, .architectures = "x86_64", .what = "a profiler's NMI in code whose frame pointer leads to a guard page, to nothing, in circles: the page fault or #GP is taken in the NMI, while the next one is pending, and the chain ends there; and an NMI at every instruction of a walk"},
    {.experiment = "profile-in-nmi", .policies = always_safe, .paths = profile_paths_32, .counts_boundaries = true, .instruction_count = true, .architectures = "x86_32"},
    {.experiment = "profile-in-nmi", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = profile_faults_64, .instruction_count = true, .architectures = "x86_64"},
    {.experiment = "profile-in-nmi", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = profile_faults_32, .instruction_count = true, .architectures = "x86_32"},
    {.experiment = "profile-in-nmi", .policies = "near", .expected = control, .symptom = "failures", .without = "guard", .paths = "guard-page unmapped second-word swept", .instruction_count = true},

    {.experiment = "costs", .policies = every_policy, .trace = true, .architectures = every_kernel, .what = "instructions from NMI delivery to the C++ handler, from it to the final IRET, for an INT3 there and back, and for hits of markers, probes and sites being patched"},

    {.experiment = "patch-costs", .policies = "near", .paths = "apply", .paths_without_nmis = "apply", .trace = true, .what = "instructions that the patcher takes for batches of 1, 100 and 10,000 sites"},

    {.experiment = "kprobe-in-nmi", .policies = always_safe, .paths = "each all recursion faulting compiled", .counts_boundaries = true, .what = "probes on each instruction of a function that the NMI handler calls, and of a compiled NMI handler, NMIs pending while it is stepped: same result, every hit counted"},
    {.experiment = "kprobe-in-nmi", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = "each"},
    {.experiment = "kprobe-in-nmi", .policies = "iret", .latched = true, .paths = "each", .counts_boundaries = true},

    {.experiment = "kprobe-sweep", .policies = always_safe, .paths = "sweep", .counts_boundaries = true, .instruction_count = true, .trace = true, .what = "an NMI at every instruction boundary of probes hit in a thread, its handler hitting the same probes: none is missed"},
    {.experiment = "kprobe-sweep", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = "sweep", .instruction_count = true},

    {.experiment = "vmalloc-in-nmi", .policies = always_safe, .paths = "buffer small-entries synchronised", .processors = 2, .counts_boundaries = true, .architectures = every_kernel, .what = "the RFC's test: a probe in the NMI handler touches all of a 20 MB buffer in address spaces that lack its mappings; as many faults as they lack entries"},
    {.experiment = "vmalloc-in-nmi", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .options = "megabytes=4", .paths = "buffer", .processors = 2, .architectures = every_kernel},
    {.experiment = "vmalloc-in-nmi", .policies = "iret", .latched = true, .options = "megabytes=4", .paths = "buffer", .processors = 2, .counts_boundaries = true, .architectures = every_kernel},

    {.experiment = "vmalloc-under-change", .policies = always_safe, .paths = "making tearing-down fault-while-created fault-while-torn-down", .processors = 2, .counts_boundaries = true, .instruction_count = true, .trace = true, .architectures = every_kernel, .what = "an NMI at every instruction of vmalloc() and vfree(), in which two CPUs access the mapping, and of a fault on a mapping that another CPU makes or tears down meanwhile: there or not, never anything else"},
    {.experiment = "vmalloc-under-change", .policies = "near", .expected = control, .symptom = "failures", .without = "shootdown", .paths = "tearing-down fault-while-torn-down", .processors = 2, .instruction_count = true, .architectures = every_kernel},
    {.experiment = "vmalloc-under-change", .policies = "near", .expected = control, .symptom = "failures", .without = "leaf", .paths = "fault-while-torn-down", .processors = 2, .instruction_count = true, .architectures = every_kernel},
    {.experiment = "vmalloc-under-change", .policies = "near", .expected = control, .symptom = "failures", .without = "order", .paths = "making", .processors = 2, .instruction_count = true, .architectures = "x86_32_pae"},
    {.experiment = "vmalloc-under-change", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = "fault-while-created fault-while-torn-down", .processors = 2, .instruction_count = true, .architectures = every_kernel},

    {.experiment = "vmalloc-torn-down", .policies = always_safe, .paths = "freed unmapped read-only waits", .processors = 4, .counts_boundaries = true, .architectures = every_kernel, .what = "a mapping torn down is gone on every CPU, in threads and in NMI handlers; an NMI handler that uses it is waited for"},
    {.experiment = "vmalloc-torn-down", .policies = "near", .expected = control, .symptom = "failures", .without = "shootdown", .paths = "freed unmapped read-only waits", .processors = 4, .architectures = every_kernel},

    {.experiment = "vmalloc-top-entry", .policies = always_safe, .paths = "refused reloaded", .processors = 2, .counts_boundaries = true, .architectures = "x86_32_pae", .what = "an area in a top-level entry of PAE that no CPU has read: refused until it is there and CR3 is loaded again; then no access to the area faults (under Bochs it does without end if CR3 is not)"},

    {.experiment = "vmalloc-parallel", .policies = always_safe, .paths = "together apart", .processors = 4, .counts_boundaries = true, .architectures = every_kernel, .what = "four CPUs make, use and tear down mappings of one area at once, under NMIs: no address and no page has two owners"},
    {.experiment = "vmalloc-parallel", .policies = "near", .expected = control, .symptom = "failures", .without = "lock", .paths = "together", .processors = 4, .architectures = every_kernel},

    {.experiment = "module-in-nmi", .policies = always_safe, .paths = "faults refused reload", .processors = 4, .counts_boundaries = true, .timeout_seconds = 900, .architectures = every_kernel, .what = "a marker in the NMI handler calls a loaded module, all of it reached through page faults in the NMI; then it is unloaded and loaded again 1,000 times under NMIs on four CPUs"},
    {.experiment = "module-in-nmi", .policies = "iret", .expected = control, .symptom = "nested", .without = "latch", .paths = "faults", .processors = 4, .timeout_seconds = 900, .architectures = every_kernel},

    {.experiment = "module-in-nmi", .policies = "near", .expected = control, .symptom = "failures", .without = "grace", .paths = "reload", .processors = 4, .timeout_seconds = 900, .architectures = every_kernel},

    {.experiment = "module-probed", .policies = always_safe, .paths = "on-marker forgotten init come-and-go", .processors = 2, .counts_boundaries = true, .timeout_seconds = 900, .architectures = every_kernel, .what = "one CPU probes a module's code while another loads and unloads it: a module with a probe on it stays, and one that comes or goes takes none; nothing calls what a module leaves in others' lists"},
    {.experiment = "module-probed", .policies = "near", .expected = control, .symptom = "failures", .without = "close", .paths = "init come-and-go forgotten", .processors = 2, .timeout_seconds = 900, .architectures = every_kernel},

    {.experiment = "module-mutated", .policies = "near", .paths = "loaded joined numbers", .counts_boundaries = true, .architectures = every_kernel, .what = "1,000 damaged copies of each of two modules are refused or loaded, and leave nothing behind; so do modules without code, and one more than there is room for"},

    {.experiment = "refused-in-nmi", .policies = always_safe, .paths = "nmi debug machine-check interrupt probe", .counts_boundaries = true, .architectures = every_kernel, .what = "whatever waits for other CPUs says so when an NMI handler asks for it, or one of #DB, #MC, an interrupt or a probe, and has done nothing"},
    {.experiment = "refused-in-nmi", .policies = "near", .expected = control, .symptom = "failures", .without = "refuse", .architectures = every_kernel},

    {.experiment = "crash-double-fault", .policies = "near", .self_test = true, .what = "self test: a double fault stops the machine with one line"},
    {.experiment = "crash-stack-overflow", .policies = "near", .self_test = true, .what = "self test: a stack overflow stops the machine with one line that names it"},
    {.experiment = "crash-unexpected", .policies = "near", .self_test = true, .what = "self test: an exception without a handler stops the machine with one line"},
    {.experiment = "crash-corrupt-frame", .policies = "near", .self_test = true, .what = "self test: a corrupt trap frame stops the machine with one line"},
    {.experiment = "crash-bad-segment", .policies = "near", .self_test = true, .what = "self test: a trap frame whose CS is ring 0 and no code stops the machine with one line"},
    {.experiment = "crash-probed-access", .policies = "near", .self_test = true, .architectures = every_kernel, .what = "self test: a probed instruction that faults stops the machine with one line that has its own address"},
    {.experiment = "crash-stuck-in-nmi", .policies = "near", .processors = 3, .self_test = true, .what = "self test: a panic stops all CPUs by NMI, waits for one that is stuck in an NMI handler no longer than two seconds, and names it"},
    {.experiment = "crash-panic-in-nmi", .policies = "near", .processors = 3, .self_test = true, .what = "self test: a panic in an NMI handler stops the other CPUs, one of them in an NMI handler that ends"},
    {.experiment = "crash-two-panics", .policies = "near", .processors = 3, .self_test = true, .what = "self test: of CPUs that panic at once, in NMI handlers, one says so and the others have stopped"},
    {.experiment = "crash-nmi-overflow", .policies = "near", .processors = 2, .self_test = true, .what = "self test: a stack overflow in an NMI handler, NMIs coming on, stops the machine with one line that names it"},
    {.experiment = "crash-task-tables", .policies = "near", .image = "hardened", .instruction_count = true, .self_test = true, .architectures = every_kernel, .what = "self test: NMIs that leave CR3 as they find it stop the machine as soon as one finds a task's"},
    {.experiment = "crash-under-nmis", .policies = "near", .processors = 2, .self_test = true, .what = "self test: a double fault stops the machine with one line, NMIs coming on"},
    {.experiment = "crash-task-double-fault", .policies = "near", .self_test = true, .what = "self test: a double fault at a system call's first instruction, with the task's GS, stops the machine with one line"},
    {.experiment = "crash-nmi-left", .policies = "near", .instruction_count = true, .self_test = true, .what = "self test: an NMI in a task, behind a handler that was left without abandon_nmi(), stops the machine with one line"},
    {.experiment = "crash-nmi-like-left", .policies = "near", .self_test = true, .what = "self test: a #DB in an NMI's exit that is left by abandon_nmi_like() stops the machine with one line"},
    {.experiment = "crash-nmis-too-deep", .policies = "near", .self_test = true, .architectures = "x86_64", .what = "self test: an NMI nested deeper than there are stacks for stops the machine with one line"},
    {.experiment = "crash-bad-access", .policies = "near", .self_test = true, .architectures = every_kernel, .what = "self test: an NMI handler that touches a guard page stops the machine with one line that has the address and the stack"},
    {.experiment = "crash-unknown-option", .policies = "near", .options = "toggels=1000", .self_test = true, .what = "self test: an option that the kernel does not know stops the machine with one line"},
    {.experiment = "crash-old-cpu", .policies = "near", .self_test = true, .architectures = every_kernel, .processor_model = "486", .what = "self test: a CPU without what the image needs stops with one line that says what"},
    {.experiment = "crash-small-stack", .policies = "near", .options = "stack=1000", .self_test = true, .what = "self test: too small a stack stops the machine with one line"},
};
// clang-format on

} // namespace

std::span<const catalogue_entry> catalogue() {
    return entries;
}

} // namespace nmisafe::tool
