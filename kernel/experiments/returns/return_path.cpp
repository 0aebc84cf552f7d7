// SPDX-License-Identifier: MIT
// return-path: INT3 and page faults in an NMI handler and in a thread. What the return path itself
// was about to load is captured and compared with the frame the handler saw; every register, every
// flag that can be restored in both states, and every alignment of the stack must come back.
#include "kernel/console/console.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/memory/test_page.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

extern "C" {
kernel::register_image round_trip_in, round_trip_out;
uintptr_t round_trip_pad, round_trip_saved_sp;
}

namespace kernel {
namespace {

using nmisafe::trap::return_policy;
using nmisafe::x86::trap_frame;

constexpr uintptr_t flag_bits[] = {X86_FLAGS_CF, X86_FLAGS_PF, X86_FLAGS_AF, X86_FLAGS_ZF,
                                   X86_FLAGS_SF, X86_FLAGS_DF, X86_FLAGS_OF, X86_FLAGS_AC,
                                   X86_FLAGS_ID, 0x1000,       0x2000}; // and both bits of IOPL
constexpr uintptr_t all_flags = X86_FLAGS_CF | X86_FLAGS_PF | X86_FLAGS_AF | X86_FLAGS_ZF |
                                X86_FLAGS_SF | X86_FLAGS_DF | X86_FLAGS_OF | X86_FLAGS_AC |
                                X86_FLAGS_ID | X86_FLAGS_IOPL;

/// Not at the page's begin: the address must come to the handler exactly.
uintptr_t faulting_address() {
    constexpr uintptr_t offset = 0x7b5;
    return reinterpret_cast<uintptr_t>(test_page(0)) + offset;
}

trap_frame seen;      // the frame as the handler left it
bool faulting;        // page fault instead of INT3
uintptr_t base_flags; // IF or nothing
uint32_t round_trips;

// The latest return that the return path announced, and how many there were.
nmisafe::platform::return_image captured;
uint32_t captured_returns;

[[maybe_unused]] void note_return(const nmisafe::platform::return_image& image) {
    captured = image;
    ++captured_returns;
}

bool note_breakpoint(trap_frame& frame) {
    expect_direction_flag_clear();
    seen = frame;
    return true;
}

void compare(const char* what, uintptr_t expected, uintptr_t found) {
    if (expected != found)
        fail(what, expected, found);
}

bool note_page_fault(trap_frame& frame, uintptr_t address) {
    if (find_test_page(address) != 0)
        return false;
    compare("the faulting address", faulting_address(), address);
    expect_direction_flag_clear();
    map_test_page(0);
    show_resume_flag(frame);
    seen = frame;
    return true;
}

/// Distinct in every byte, so that a truncated or exchanged register shows.
uintptr_t pattern(unsigned number) {
    return static_cast<uintptr_t>(0x8191a1b1c1d1e1f1) +
           static_cast<uintptr_t>(0x0101010101010101) * number;
}

void check_captured() {
    compare("captured RIP differs from the frame", seen.ip, captured.ip);
    compare("captured RFLAGS differ from the frame", seen.flags, captured.flags);
    compare("captured CS differs from the frame", seen.cs & 0xffff, captured.cs);
}

void one_round_trip(uintptr_t flags, uintptr_t pad) {
    auto* values = reinterpret_cast<uintptr_t*>(&round_trip_in);
    for (unsigned i = 0; i < sizeof round_trip_in / sizeof *values; ++i)
        values[i] = pattern(i);
    if (faulting) {
        unmap_test_page(0);
        round_trip_in.bx = faulting_address();
    }
    round_trip_in.flags = flags | X86_FLAGS_FIXED;
    round_trip_pad = pad;
    const uint32_t captured_before = captured_returns;
    if (faulting)
        round_trip_page_fault();
    else
        round_trip_breakpoint();
    ++round_trips;

    const auto* out = reinterpret_cast<const uintptr_t*>(&round_trip_out);
    for (unsigned i = 0; i < sizeof round_trip_in / sizeof *values; ++i)
        compare("a register, RSP or RFLAGS did not come back", values[i], out[i]);
    const auto resumed = reinterpret_cast<uintptr_t>(faulting ? round_trip_page_fault_begin
                                                              : round_trip_breakpoint_end);
    compare("the frame's RIP", resumed, seen.ip);
    compare("the frame's RFLAGS", flags | X86_FLAGS_FIXED | (faulting ? X86_FLAGS_RF : 0U),
            seen.flags);
    const uint32_t announced = captured_returns - captured_before;
    const return_policy policy = nmisafe::trap::current_policy();
    const bool counted = nmisafe::context::preempt_count() != 0;
    const bool safe = policy == return_policy::near || policy == return_policy::far ||
                      (policy == return_policy::far_nmi_count && counted);
    compare("returns captured", safe ? 1 : 0, announced);
    if (announced != 0)
        check_captured();
}

void all_round_trips() {
    for (uintptr_t pad = 0; pad < 16; pad += sizeof(uintptr_t)) {
        one_round_trip(base_flags, pad);
        one_round_trip(base_flags | all_flags, pad);
        for (const uintptr_t bit : flag_bits) {
            one_round_trip(base_flags | bit, pad);
            one_round_trip(base_flags | (all_flags & ~bit), pad);
        }
    }
}

void nmi_body(trap_frame&) {
    all_round_trips();
}

void run(const char* path, bool fault, bool in_nmi, uintptr_t flags) {
    set_scene(nmi_body);
    nmisafe::trap::set_handler(X86_VECTOR_BP, note_breakpoint);
    nmisafe::trap::set_page_fault_handler(note_page_fault);
    faulting = fault;
    base_flags = flags;
    round_trips = 0;
    if (in_nmi) {
        raise_nmi_here();
        settle();
    } else {
        all_round_trips();
    }
    scene.count.boundaries = round_trips;
    print_row(path);
}

} // namespace

void return_path() {
#ifdef NMISAFE_TRAP_RETURN_CAPTURE
    return_hook = note_return;
#else
    fail("this image captures no returns", 1, 0);
#endif
    run("breakpoint-in-nmi", false, true, 0);
    run("page-fault-in-nmi", true, true, 0);
    if (nmisafe::trap::current_policy() == return_policy::iret)
        return; // the thread's rows have no NMI: nothing a control could show
    run("breakpoint-in-thread", false, false, 0);
    run("page-fault-in-thread", true, false, 0);
    run("breakpoint-in-thread-if", false, false, X86_FLAGS_IF);
    run("page-fault-in-thread-if", true, false, X86_FLAGS_IF);
}

} // namespace kernel
