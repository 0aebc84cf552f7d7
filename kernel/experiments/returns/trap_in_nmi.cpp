// SPDX-License-Identifier: MIT
// breakpoint-in-nmi and page-fault-in-nmi: for 10 ms every NMI handler hits a trap, with another
// NMI pending each time, while a second CPU keeps sending NMIs as fast as they are answered. Under
// the policy iret the trap's return lets the pending NMI in on top of the handler.
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/active_delay.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/test_page.hpp"

namespace kernel {
namespace {

using nmisafe::x86::trap_frame;

void (*trap)();

void body(trap_frame&) {
    raise_second();
    trap();
}

void trap_breakpoint() {
    hit_breakpoint();
}

void trap_page_fault() {
    unmap_test_page(0);
    touch_page(0);
}

void run(void (*function)()) {
    trap = function;
    set_scene(body);
    const nmis_of_delay seen = delay_under_nmis();
    scene.count.raised += scene.sender_tickets;
    if (scene.count.nested == 0 && scene.breakpoints + scene.page_faults != scene.count.handled)
        fail("traps differ from handlers", scene.count.handled,
             scene.breakpoints + scene.page_faults);
    if (seen.sent < least_sent_in_delay)
        fail("NMIs sent by the other CPU", least_sent_in_delay, seen.sent);
    scene.count.boundaries = seen.passes;
    print_row(nullptr, false, {"sent_by_other_cpu", scene.sender_tickets});
}

} // namespace

void breakpoint_in_nmi() {
    run(trap_breakpoint);
}

void page_fault_in_nmi() {
    run(trap_page_fault);
}

} // namespace kernel
