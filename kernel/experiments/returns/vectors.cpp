// SPDX-License-Identifier: MIT
// vectors: each entry stub leads to the handler of its vector, on the right stack, with an error
// code of 0 or the CPU's, and back. #DB and #MC also inside an NMI, with another NMI pending: they
// do not let it in, and neither does an interrupt there.
#include "kernel/cpu/vectors.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/experiments/shared/windows.h"
#include "nmisafe/context/count.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

trap_frame seen;
uintptr_t seen_at;
shared_count calls;
bool counted_as_nmi;

bool note(trap_frame& frame) {
    seen = frame;
    seen_at = reinterpret_cast<uintptr_t>(&frame);
    counted_as_nmi = nmisafe::context::in_nmi();
    ++calls;
    expect_direction_flag_clear();
    return true;
}

/// INT n pushes no error code: the stubs of these vectors would take the saved IP for one.
bool has_error_code(unsigned vector) {
    return vector < X86_EXCEPTION_VECTORS && (X86_ERROR_CODE_VECTORS >> vector & 1) != 0;
}

/// #DB and #MC begin at the top of their IST stacks, all others stay where the code was.
void check_stack([[maybe_unused]] unsigned vector) {
#ifdef __x86_64__
    const auto& ist = this_cpu().nmi_block->tss.ist;
    const auto top_of = [&ist](interrupt_stack which) {
        return static_cast<uintptr_t>(ist[static_cast<unsigned>(which) - 1]);
    };
    const uintptr_t end = seen_at + sizeof(trap_frame);
    if (vector == X86_VECTOR_DB && end != top_of(interrupt_stack::debug))
        fail("the stack of #DB", top_of(interrupt_stack::debug), end);
    if (vector == X86_VECTOR_MC && end != top_of(interrupt_stack::machine_check))
        fail("the stack of #MC", top_of(interrupt_stack::machine_check), end);
    const bool switched = vector == X86_VECTOR_DB || vector == X86_VECTOR_MC;
    const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    if (!switched && (seen_at > here || here - seen_at > 2048))
        fail("a stack was switched", here, seen_at);
#endif
}

void raise_and_check(unsigned vector) {
    calls = 0;
    nmisafe::trap::set_handler(static_cast<uint8_t>(vector), note);
    raise_vector(vector);
    if (calls != 1)
        fail("calls of the handler", 1, calls);
    if (seen.vector != vector)
        fail("the vector in the frame", vector, seen.vector);
    if (seen.error != 0)
        fail("the error code in the frame", 0, seen.error);
    const bool nmi_like = vector == X86_VECTOR_DB || vector == X86_VECTOR_MC;
    if (counted_as_nmi != nmi_like)
        fail("in_nmi() in the handler", nmi_like, counted_as_nmi);
    check_stack(vector);
    ++scene.count.boundaries;
}

/// A #GP with an error code of the CPU's: a selector beyond the GDT.
constexpr uintptr_t bad_selector = 0xfff8;

bool skip_load(trap_frame& frame) {
    seen = frame;
    ++calls;
    frame.ip += 2; // MOV to a segment register from a register
    return true;
}

void general_protection() {
    calls = 0;
    nmisafe::trap::set_handler(X86_VECTOR_GP, skip_load);
    asm volatile("movl %[selector], %%fs" : : [selector] "r"(uint32_t{bad_selector}) : "memory");
    if (calls != 1 || seen.vector != X86_VECTOR_GP || seen.error != bad_selector)
        fail("the error code of #GP", bad_selector, seen.error);
    ++scene.count.boundaries;
}

/// One NMI, whose handler raises another. It is abandoned in a control.
void expect_two_nmis() {
    const uint32_t before = scene.count.handled;
    ++scene.count.boundaries;
    if (run_guarded([] {
            raise_nmi_here();
            settle();
        }) &&
        scene.count.handled - before != 2)
        fail("NMIs handled", 2, scene.count.handled - before);
}

uint32_t in_nmi_vector;

void raise_in_nmi(trap_frame&) {
    if (calls != 0)
        return; // the second one, after the first has ended
    raise_nmi_here();
    raise_vector(in_nmi_vector);
}

void in_nmi(uint8_t vector) {
    in_nmi_vector = vector;
    calls = 0;
    scene.body = raise_in_nmi;
    expect_two_nmis();
}

/// A handler that lets interrupts in: one comes, with another NMI pending, and its return lets that
/// one in no more than any other. (I11)
void let_interrupt_in(trap_frame&) {
    if (calls != 0)
        return;
    raise_nmi_here();
    send_interrupt(this_cpu().id, first_experiment_vector);
    nmisafe::x86::enable_interrupts();
    if (!wait_for([] { return calls != 0; }))
        fail("interrupts in an NMI handler", 1, 0);
    nmisafe::x86::disable_interrupts();
}

void interrupt_in_nmi() {
    calls = 0;
    nmisafe::trap::set_handler(first_experiment_vector, [](trap_frame&) {
        ++calls;
        end_of_interrupt();
        return true;
    });
    scene.body = let_interrupt_in;
    expect_two_nmis();
    if (calls != 1)
        fail("interrupts in an NMI handler", 1, calls);
}

} // namespace

void vectors() {
    nmisafe::x86::disable_interrupts();
    set_scene(nullptr);
    for (unsigned vector = 0; vector < X86_VECTORS; ++vector)
        if (vector != X86_VECTOR_NMI && !has_error_code(vector))
            raise_and_check(vector);
    general_protection();
    in_nmi(X86_VECTOR_DB);
    in_nmi(X86_VECTOR_MC);
    interrupt_in_nmi();
    print_row(nullptr);
}

} // namespace kernel
