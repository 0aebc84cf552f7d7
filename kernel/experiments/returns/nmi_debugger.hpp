// SPDX-License-Identifier: MIT
// The debugger of nmi-stepping: handlers of #DB and #MC, and the code that is stepped.
#pragma once

#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/shared_word.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/trap_frame.h"

// nmi_stepping.S
extern "C" {
/// Takes INT3s and a page fault. Sets stepped_code_set in the flags, clears stepped_code_clear at
/// its end.
[[NMISAFE_ASSEMBLY_CALL]] void stepped_code(void* page, uint32_t* counter);
extern const char stepped_code_first[], stepped_code_last[], stepped_code_end[];
extern const char stepped_fault[], stepped_after_int3[];
extern const uintptr_t stepped_code_expected[], stepped_code_expected_end[];
extern uint32_t stepped_code_set, stepped_code_clear;
[[NMISAFE_ASSEMBLY_CALL]] void window_watched();
extern const char window_watched_begin[], window_watched_end[];
[[NMISAFE_ASSEMBLY_CALL]] void write_watched(uint32_t* word);
extern const char write_watched_end[];
[[NMISAFE_ASSEMBLY_CALL]] void watched_action();
}

namespace kernel {

constexpr uintptr_t on_execution(unsigned number) {
    return X86_DR7_DISARMED | uintptr_t{1} << (2 * number);
}
constexpr uintptr_t on_writing_4(unsigned number) {
    return on_execution(number) | uintptr_t{0xd} << (16 + 4 * number);
}

inline constexpr uint32_t most_steps = 8192;

/// What the debugger saw of a handler.
struct trace {
    uint32_t count;
    uintptr_t ips[most_steps];
};

struct nmi_debugger {
    shared_count hits[4]; ///< Of each breakpoint, in NMIs and elsewhere.
    shared_count machine_checks;
    /// An NMI at each #DB and #MC in the next handler, not when it is run again.
    shared_flag raises;
    shared_flag in_whole;   ///< The whole handler is in progress.
    uintptr_t whole;        ///< Its address: no NMI is raised before it can tell that it is nested.
    shared_count in_pass;   ///< #DBs: a breakpoint may be hit without end.
    shared_flag steps_next; ///< The next breakpoint in an NMI begins a trace.
    shared_flag steps_to_end;   ///< The end of a body is stepped, and what comes behind it.
    shared_flag keeps_stepping; ///< TF is set at each stop, not left as it is.
    shared_count steps_behind;  ///< The end of the handler, with keeps_stepping.
    shared_flag in_debug;       ///< The thread's #DB.
    void (*at_thread_debug)(nmisafe::x86::trap_frame&);
};
extern nmi_debugger debugger;
extern trace seen;
extern uint32_t counter; // what stepped_code() counts in

void expect(const char* what, uintptr_t expected, uintptr_t found);

/// Lets this CPU's NMI handlers be debugged. @context thread, CPU 0
void set_up_debugger();

/// The scene with the debugger's handlers, all breakpoints off.
void begin_debugging(void (*body)(nmisafe::x86::trap_frame&));

/// The NMI and all that it leads to; false if it was abandoned.
bool one_nmi();

/// stepped_code() with the page unmapped; stepped, or as the flags are.
void step_in_stepped_code();
void run_stepped_code();

/// The boundaries in stepped_code() are those of its list, and no others, but what is behind its
/// end if the step goes on there.
void expect_listed(const trace& which, bool goes_on);

} // namespace kernel
