// SPDX-License-Identifier: MIT
// docs/guides/add_to_a_kernel.md, "x86-64 with ISTs": ring 0 alone.
#ifdef __x86_64__
#include "nmisafe/setup/setup.hpp"
#include "nmisafe/trap/trap.hpp"
#include "tests/guides/experiment/experiment.hpp"
#include "tests/guides/ists/cpu.hpp"
#include "tests/guides/machine.hpp"

static void set_up_handlers() {
    trap::set_nmi_handler(on_nmi);
    trap::set_page_fault_handler(on_page_fault);
    trap::set_handler(X86_VECTOR_BP, on_breakpoint);
}

extern "C" [[noreturn]] void kernel_main() {
    mask_interrupt_controllers();
    set_up_cpu();
    set_up_gates();
    set_up_handlers();
    if (!keeps(step::policy))
        trap::set_return_policy(trap::return_policy::iret);
    const setup::finding found = setup::check_setup();
    if (found.what != setup::fault::none)
        panic(setup::describe(found.what), found.vector);
    map_faulting_page(false);
    while (nmis < wanted) {
        if (nmis == sent)
            send_nmi();
        asm volatile("pause");
    }
    report();
    for (;;) {
    }
}
#endif
