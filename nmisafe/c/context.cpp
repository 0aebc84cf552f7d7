// SPDX-License-Identifier: MIT
#include "nmisafe/c/context.h"

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/context/count.hpp"

using namespace nmisafe;

uint32_t nmisafe_preempt_count(void) {
    return context::preempt_count();
}

void nmisafe_preempt_disable(void) {
    context::preempt_disable();
}

void nmisafe_preempt_enable(void) {
    context::preempt_enable_no_resched();
}

bool nmisafe_in_nmi(void) {
    return context::in_nmi();
}

bool nmisafe_in_irq(void) {
    return context::in_irq();
}

bool nmisafe_in_interrupt(void) {
    return context::in_interrupt();
}

void nmisafe_irq_enter(void) {
    context::irq_enter();
}

void nmisafe_irq_exit(void) {
    context::irq_exit();
}

// Of an entry of the kernel's own, before and after which no probe may stand.
[[NMISAFE_TRAP_TEXT]] void nmisafe_nmi_enter(void) {
    context::nmi_enter();
}

[[NMISAFE_TRAP_TEXT]] void nmisafe_nmi_exit(void) {
    context::nmi_exit();
}
