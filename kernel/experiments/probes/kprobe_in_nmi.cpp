// SPDX-License-Identifier: MIT
// kprobe-in-nmi: the NMI handler calls a function with a probe on it. The probe's handlers raise
// NMIs, so one is pending at each INT3's return and while the instruction is stepped. The
// function's result must be what it is without probes, and every hit must be counted.
//
//   each       a probe on each instruction in turn, of as many kinds as can be probed
//   all        on all of them at once; then each instruction but the first is entered where the
//              post handler before said
//   recursion  the same, with the function called again by the handlers: those hits are missed, and
//              executed nevertheless
//   faulting   a probe on each of the two instructions that try_read() and try_write() may fault
//              on, given addresses that are good and that are bad
//   compiled   a probe on each instruction in turn of an NMI handler as the compiler made it
//              (kprobe_compiled.cpp)
//
// Under the policy iret the return of the first INT3 lets the second NMI in. The handler in
// progress is lost, and the probes with it: the run ends there.
//
// kprobe-sweep: an NMI at every instruction boundary of a thread that executes the function with
// probes on some instructions. So it comes in handlers and slots that the thread is in, and its
// handler goes through the same slots, with another NMI pending; nothing is missed.
#include "kernel/console/command_line.hpp"
#include "kernel/cpu/try_read.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/probes/compiled_handler.hpp"
#include "kernel/experiments/shared/probed_function.h"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/sweep.hpp"
#include "kernel/panic/panic.hpp"
#include "kernel/smp/patched_breakpoint.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using kprobe::probe;
using kprobe::probe_error;
using x86::trap_frame;

static_assert(PROBE_SLOT_SIZE == kprobe::slot_size);

constexpr uintptr_t input = 0x2468ace1;
constexpr uint32_t most_recursions = 40;

probe probes[PROBE_SLOTS];
uint32_t instruction_count;
uintptr_t expected_result;

shared_count handlers_in_pass;
shared_count recursions;
shared_flag recursive;
shared_flag raising; // each handler of a probe raises an NMI
bool follow;         // all instructions are probed: check where each one is entered
uintptr_t next_ip;

void call_function() {
    next_ip = 0;
    const uintptr_t result = probed_function(input);
    if (result != expected_result)
        fail("the function's result", expected_result, result);
}

void nmi_body(trap_frame&) {
    sweep_event();
    ++handlers_in_pass;
    if (handlers_in_pass == 1)
        raise_nmi_here();
    call_function();
}

void raise_in_handler() {
    if (raising && handlers_in_pass == 1)
        raise_nmi_here();
}

/// So often, and not from every handler: each call takes as many traps as the function itself.
void recurse() {
    if (!recursive || recursions == most_recursions)
        return;
    ++recursions;
    if (probed_function(input) != expected_result)
        fail("the function's result in a probe's handler", expected_result, 0);
}

void on_pre(probe& what, trap_frame& frame) {
    if (frame.ip != what.address)
        fail("the pre handler's ip", what.address, frame.ip);
    if (follow && next_ip != 0 && next_ip != frame.ip)
        fail("the instruction after the last", next_ip, frame.ip);
    raise_in_handler();
    recurse();
}

void on_post(probe&, trap_frame& frame) {
    next_ip = frame.ip;
    raise_in_handler();
    recurse();
}

void put_on(uint32_t number) {
    probe& what = probes[number];
    what.address = probed_instructions[number].address();
    what.function = reinterpret_cast<uintptr_t>(probed_function);
    what.slot = reinterpret_cast<uintptr_t>(probe_slots) + number * kprobe::slot_size;
    what.pre = on_pre;
    what.post = on_post;
    const auto length = kprobe::insert(what);
    if (!length)
        fail("a probe was refused", number, static_cast<uintptr_t>(length.error()));
}

/// Nobody is in a slot: there is one thread, which is here.
void take_off(uint32_t number) {
    if (!kprobe::remove(probes[number]) || !kprobe::release(probes[number]))
        fail("a probe was not removed", 1, 0);
}

/// The byte behind an instruction's first one is no place for a probe.
void expect_refusal_inside(uint32_t number) {
    probe inside{};
    inside.address = probed_instructions[number].address() + 1;
    inside.function = reinterpret_cast<uintptr_t>(probed_function);
    if (number + 1 == instruction_count ||
        inside.address == probed_instructions[number + 1].address())
        return;
    const auto inserted = kprobe::insert(inside);
    if (inserted || inserted.error() != probe_error::not_boundary)
        fail("a probe inside an instruction", static_cast<uintptr_t>(probe_error::not_boundary), 0);
}

/// A probe on what runs between a probe and its handler would never come to an end.
void expect_refusal_on_the_handler() {
    probe on_handler{};
    on_handler.address = on_handler.function = reinterpret_cast<uintptr_t>(on_patched_breakpoint);
    const auto inserted = kprobe::insert(on_handler);
    if (inserted || inserted.error() != probe_error::no_probe)
        fail("a probe on the breakpoint handler", static_cast<uintptr_t>(probe_error::no_probe), 0);
}

/// Each call of the function executes instruction `number` as often as the assembler says.
void expect_hits(uint32_t number, uint32_t calls, uint32_t missed_calls) {
    const probe& what = probes[number];
    const uint32_t executions = probed_instructions[number].executions;
    if (what.hits != executions * calls || what.completed != what.hits)
        fail("hits", executions * calls,
             what.hits != executions * calls ? what.hits : what.completed);
    if (what.missed != executions * missed_calls)
        fail("missed", executions * missed_calls, what.missed);
}

void raise_and_settle() {
    raise_nmi_here();
    settle();
}

/// One NMI, and the one raised in its handler. False: the second one came in too early.
bool pass() {
    handlers_in_pass = 0;
    recursions = 0;
    if (!run_guarded(raise_and_settle))
        return false;
    if (handlers_in_pass != 2)
        ++scene.count.lost;
    ++scene.count.boundaries;
    return true;
}

void set_up() {
    set_scene(nmi_body);
    trap::set_handler(X86_VECTOR_BP, on_patched_breakpoint);
    follow = false;
    recursive = false;
    raising = true;
}

/// Prints a row, with the hits of all probes. Its boundaries are the instructions probed.
void finish(const char* path, uint32_t hits) {
    print_row(path, false, {"hits", hits});
}

bool each_path() {
    set_up();
    uint32_t hits = 0;
    for (uint32_t i = 0; i < instruction_count; ++i) {
        expect_refusal_inside(i);
        put_on(i);
        if (!pass()) {
            finish("each", hits + probes[i].hits);
            return false;
        }
        expect_hits(i, handlers_in_pass, 0);
        hits += probes[i].hits;
        take_off(i);
        call_function();
    }
    if (hits == 0)
        fail("hits in all", 1, 0);
    expect_refusal_on_the_handler();
    finish("each", hits);
    return true;
}

void all_path(const char* path, bool with_recursion) {
    set_up();
    recursive = with_recursion;
    follow = !with_recursion;
    for (uint32_t i = 0; i < instruction_count; ++i)
        put_on(i);
    if (!pass())
        return finish(path, 0);
    scene.count.boundaries = instruction_count;
    uint32_t hits = 0;
    for (uint32_t i = 0; i < instruction_count; ++i) {
        expect_hits(i, handlers_in_pass, recursions);
        hits += probes[i].hits;
    }
    if (with_recursion && recursions != most_recursions)
        fail("calls in handlers", most_recursions, recursions);
    for (uint32_t i = 0; i < instruction_count; ++i)
        take_off(i);
    finish(path, hits);
}

// --- instructions that fault ---------------------------------------------------------------------

void* const no_address = reinterpret_cast<void*>(uintptr_t{0x1000}); // nothing is mapped there
probe faulting[2];
uint32_t faults_given_up;

/// From the slot, as it is: whoever looks up the address has to find the instruction's.
bool on_refused_access(trap_frame& frame, uintptr_t address) {
    if (address != reinterpret_cast<uintptr_t>(no_address))
        fail("the address of a fault", reinterpret_cast<uintptr_t>(no_address), address);
    ++faults_given_up;
    return give_up_access(frame);
}

void access_body(trap_frame&) {
    ++handlers_in_pass;
    if (handlers_in_pass == 1)
        raise_nmi_here();
    uint32_t word = 0x12345678;
    uint32_t value = 0;
    if (!try_read(&word, value) || value != word || !try_write(&word, 1) || word != 1)
        fail("an access to memory that is there", 1, 0);
    if (try_read(no_address, value) || try_write(no_address, 2))
        fail("an access to memory that is not there", 0, 1);
}

void put_on_access(probe& what, uintptr_t function, uintptr_t access, uint32_t slot) {
    what.address = access;
    what.function = function;
    what.slot = reinterpret_cast<uintptr_t>(probe_slots) + slot * kprobe::slot_size;
    what.pre = on_pre;
    what.post = on_post;
    const auto length = kprobe::insert(what);
    if (!length)
        fail("a probe was refused", access, static_cast<uintptr_t>(length.error()));
}

/// Each of two NMI handlers hits each probe twice. Of a hit that faults the fault handler goes
/// elsewhere: no post handler runs.
void faulting_path() {
    set_up();
    scene.body = access_body;
    trap::set_page_fault_handler(on_refused_access);
    faults_given_up = 0;
    put_on_access(faulting[0], reinterpret_cast<uintptr_t>(kernel_try_read),
                  text_address(kernel_try_read_access), 0);
    put_on_access(faulting[1], reinterpret_cast<uintptr_t>(kernel_try_write),
                  text_address(kernel_try_write_access), 1);
    if (!pass())
        return finish("faulting", 0);
    uint32_t hits = 0;
    for (const probe& what : faulting) {
        if (what.hits != 4 || what.completed != 2 || what.missed != 0)
            fail("hits of an instruction that faults", 4, what.hits);
        hits += what.hits;
    }
    if (faults_given_up != 4)
        fail("page faults", 4, faults_given_up);
    for (probe& what : faulting)
        if (!kprobe::remove(what) || !kprobe::release(what))
            fail("a probe was not removed", 1, 0);
    finish("faulting", hits);
}

// --- the sweep -----------------------------------------------------------------------------------

void prepare_pass() {
    handlers_in_pass = 0;
    scene.record_ip = true;
    for (auto& what : probes)
        what.hits = what.completed = what.missed = 0;
}

bool both_handled() {
    return handlers_in_pass == 2;
}

void check_pass() {
    settle();
    if (handlers_in_pass != 2)
        ++scene.count.lost;
    for (uint32_t i = 0; i < instruction_count; ++i)
        if (probed_instructions[i].in_sweep == PROBED_IN_SWEEP)
            expect_hits(i, 3, 0); // the thread's call and those of two NMIs
}

/// With few probes, and one NMI raised: with -O0 too, all of it must be over before the one-shot's
/// counter comes round, after 43 s (kernel/devices/hpet.hpp).
void sweep_path() {
    set_up();
    raising = false;
    for (uint32_t i = 0; i < instruction_count; ++i)
        if (probed_instructions[i].in_sweep == PROBED_IN_SWEEP)
            put_on(i);
    sweep plan{[] { window_probed(); }, prepare_pass, both_handled, check_pass};
    plan.once = true;
    if (option("mode") == "trace") {
        print_window("sweep", window_probed_begin, window_probed_end);
        plan.prepare();
        plan.window();
        return;
    }
    sweep_nmi(plan);
    scene.count.boundaries = recorded();
    if (scene.count.nested != 0) // a control: its probes are in progress for good
        return print_row("sweep");
    uint32_t probed = 0;
    for (uint32_t i = 0; i < instruction_count; ++i)
        if (probed_instructions[i].in_sweep == PROBED_IN_SWEEP) {
            ++probed;
            take_off(i);
        }
    print_row("sweep", true, {"probes", probed});
    print_recorded("sweep");
}

} // namespace

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void probed_action() {
    call_function();
}

namespace {

void begin() {
    x86::disable_interrupts();
    instruction_count = static_cast<uint32_t>(probed_instructions_end - probed_instructions);
    if (instruction_count > PROBE_SLOTS)
        panic("more instructions than slots", nullptr, instruction_count);
    expected_result = probed_function(input);
}

} // namespace

void kprobe_in_nmi() {
    begin();
    if (!each_path())
        return;
    all_path("all", false);
    all_path("recursion", true);
    faulting_path();
    probe_compiled_handler();
}

void kprobe_sweep() {
    begin();
    sweep_path();
}

} // namespace kernel
