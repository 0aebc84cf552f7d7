// SPDX-License-Identifier: MIT
// profile-in-nmi: an NMI's handler walks the frame pointers of code whose own is none; the next NMI is
// raised before it does, so it waits for the first one's end.
//
//   guard-page     in the guard page above the stack
//   unmapped       where nothing is
//   second-word    the return address would be in the guard page
//   non-canonical  x86-64: a #GP; of user mode's, since it does not lie above a stack of the kernel
//   resolved       in a page that its fault maps: the chain goes on
//   loop           a frame that leads to itself
//   misaligned     not a multiple of a word
//   below          below the stack pointer
//
// The first five fault, in the NMI, and return from that; the walk says why it has ended, and is
// right.
//
//   swept          an NMI at each instruction of a thread's walk that ends in the guard page, its fault and the return
//                  from that among them: it walks too, and so does the one that it raises
//
// As a control, without=guard takes nobody's fault for the profiler's.
#include "kernel/boot/layout.h"
#include "kernel/common/controls.hpp"
#include "kernel/common/image.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/every_instruction.hpp"
#include "kernel/experiments/tracing/profile_windows.h"
#include "kernel/memory/stacks.hpp"
#include "kernel/memory/test_page.hpp"
#include "kernel/profile/profile.hpp"
#include "nmisafe/profiler/chain.hpp"
#include "nmisafe/profiler/guarded_load.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using profiler::chain_end;
using x86::trap_frame;

constexpr uint32_t wanted = 20;     // injections of a path
constexpr uint32_t patience = 2000; // some come too early or too late on a busy machine
constexpr uint32_t distance_microseconds = 20;
constexpr uint32_t turns = 1'000'000;
constexpr uintptr_t word = sizeof(uintptr_t);
constexpr unsigned page = 2; // of test_page.hpp

// Reads whatever is above the stack pointer: what is refused here is refused by the load.
constexpr profiler::stack_rules everything{{0, ~uintptr_t{0}}, ~uintptr_t{0}};
constexpr profiler::chain_rules rules{everything, everything};

uintptr_t any_code() {
    return text_address(kernel_text_begin) + 1;
}

struct bad_pointer {
    const char* name;
    uintptr_t (*make)(uintptr_t* frame); // on the stack, two words
    chain_end end;
    size_t count;
    bool faults;
    bool from_user = false;
};

const bad_pointer paths[] = {
    {"guard-page",
     [](uintptr_t* frame) { return stack_top(reinterpret_cast<uintptr_t>(frame)) + 16 * word; },
     chain_end::fault, 0, true},
    {"unmapped", [](uintptr_t*) { return KERNEL_PAGES_BASE + KERNEL_PAGES_SIZE - 16 * word; },
     chain_end::fault, 0, true},
    {"second-word",
     [](uintptr_t* frame) { return stack_top(reinterpret_cast<uintptr_t>(frame)) - word; },
     chain_end::fault, 0, true},
#ifdef __x86_64__
    {"non-canonical", [](uintptr_t*) { return uintptr_t{1} << 62; }, chain_end::fault, 0, true,
     true},
#endif
    {"resolved",
     [](uintptr_t*) {
         map_test_page(page);
         auto* const frame = static_cast<volatile uintptr_t*>(test_page(page));
         frame[0] = 0;
         frame[1] = any_code();
         unmap_test_page(page);
         return reinterpret_cast<uintptr_t>(frame);
     },
     chain_end::outermost, 1, true},
    {"loop",
     [](uintptr_t* frame) {
         frame[0] = reinterpret_cast<uintptr_t>(frame);
         frame[1] = any_code();
         return reinterpret_cast<uintptr_t>(frame);
     },
     chain_end::not_above, 1, false},
    {"misaligned", [](uintptr_t* frame) { return reinterpret_cast<uintptr_t>(frame) + 1; },
     chain_end::misaligned, 0, false},
    {"below", [](uintptr_t* frame) { return reinterpret_cast<uintptr_t>(frame) - 0x800; },
     chain_end::not_above, 0, false},
};

const bad_pointer* path;
uintptr_t pointer;
shared_count walks;
uint32_t walks_in_pass;
shared_count faults;

profiler::chain_found walk(const trap_frame& frame) {
    uintptr_t addresses[4];
#ifdef __x86_64__
    if (path->from_user) {
        trap_frame from_user = frame;
        from_user.cs = KERNEL_USER_CODE_SELECTOR;
        return profiler::walk_chain(from_user, rules, addresses, 4);
    }
#endif
    return profiler::walk_chain(frame, rules, addresses, 4);
}

void check_walk(const trap_frame& frame) {
    const profiler::chain_found found = walk(frame);
    if (found.end != path->end)
        fail("why a chain has ended", static_cast<uintptr_t>(path->end),
             static_cast<uintptr_t>(found.end));
    if (found.count != path->count)
        fail("calls in a chain", path->count, found.count);
    ++walks;
}

void body(trap_frame& frame) {
    if (frame.bp != pointer)
        return; // too early, or too late
    if (path->end == chain_end::outermost && walks_in_pass != 0)
        unmap_test_page(page); // it faults each time
    if (walks_in_pass++ == 0)
        raise_nmi_here();
    check_walk(frame);
}

bool on_fault(trap_frame& frame) {
    ++faults;
    if (handle_profiling_fault(frame))
        return true;
    fail("a fault that is nobody's", 0, frame.ip);
    return profiler::handle_fault(frame); // or the machine would stop here
}

bool on_page_fault(trap_frame& frame, uintptr_t address) {
    const bool is_resolved = handle_scene_page_fault(frame, address);
    if (is_resolved)
        ++faults;
    return is_resolved || on_fault(frame);
}

/// One NMI in the middle of the code, and the second when it returns.
void one_pass() {
    uintptr_t frame[2];
    pointer = path->make(frame);
    walks_in_pass = 0;
    ++scene.tickets;
    ++scene.count.raised;
    one_shot_arm(ticks_in(distance_microseconds));
    spin_with_frame_pointer(pointer, turns, &walks_in_pass);
    settle();
    pointer = 1; // nobody's
    asm volatile("" : : "m"(frame) : "memory");
}

void run_path(const bad_pointer& which) {
    path = &which;
    set_scene(body);
    trap::set_page_fault_handler(on_page_fault);
    trap::set_handler(X86_VECTOR_GP, on_fault);
    one_shot_set_up_nmi(0);
    walks = 0;
    faults = 0;
    for (uint32_t attempt = 0; scene.count.boundaries < wanted && attempt < patience; ++attempt) {
        const bool completed = run_guarded(one_pass);
        scene.count.boundaries += walks_in_pass != 0;
        if (!completed) { // a control: enough was seen
            pointer = 1;
            break;
        }
    }
    one_shot_shut_down();
    if (which.faults && is_defended() && faults != walks)
        fail("faults of the walks", walks, faults);
    if (!which.faults && faults != 0)
        fail("faults of the walks", 0, faults);
    print_row(which.name);
}

// --- a walk that NMIs interrupt -----------------------------------------------------------------

/// A walk from here that faults.
void walk_into_guard_page(const trap_frame& from) {
    trap_frame frame = from;
    frame.bp = pointer;
    check_walk(frame);
}

void swept_body(trap_frame& frame) {
    sweep_event();
    if (first_of_pass(frame))
        raise_nmi_here();
    walk_into_guard_page(frame);
}

void prepare_swept() {
    begin_pass(true);
    walks = 0;
    faults = 0;
    trap::set_handler(X86_VECTOR_GP, on_fault);
}

void check_swept() {
    settle();
    expect_two_handlers(nullptr);
    if (walks != 3 || (is_defended() && faults != 3))
        fail("walks and their faults", 3, walks << 8 | faults);
}

const swept_path swept = {"swept",
                          swept_body,
                          {[] { window_profile_walk(); }, prepare_swept, both_handled, check_swept},
                          window_profile_walk_begin,
                          window_profile_walk_end,
                          true};

void sweep_walk() {
    uintptr_t frame[2];
    path = &paths[0];
    pointer = path->make(frame);
    sweep_or_trace(swept, on_page_fault);
}

} // namespace

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void profile_walk_action() {
    trap_frame here{};
    here.cs = KERNEL_CODE_SELECTOR;
#ifdef __x86_64__
    here.sp = reinterpret_cast<uintptr_t>(&here);
#endif
    walk_into_guard_page(here);
}

void profile_in_nmi() {
    const bool is_control = !option("without").empty();
    for (const bad_pointer& which : paths) {
        if (is_control && !which.faults) // nothing there that could go wrong
            continue;
        if (is_removed(defence::guard) && which.end != chain_end::fault)
            continue;
        run_path(which);
    }
    x86::disable_interrupts();
    sweep_walk();
}

} // namespace kernel
