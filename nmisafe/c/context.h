/* SPDX-License-Identifier: MIT */
/* What the CPU is doing: the preempt count, with a field for NMIs. The layout is `modern` (nmisafe/context): bits 0-7
 * preempt, 8-15 softirq, 16-19 hardirq, 20-23 NMI. Any context, all of it, where nothing else is said. */
#ifndef NMISAFE_C_CONTEXT_H
#define NMISAFE_C_CONTEXT_H

#include "nmisafe/c/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The whole count, without bit 31, which is the kernel's: 0 exactly when this CPU may be preempted. */
uint32_t nmisafe_preempt_count(void);

/* Keeps this thread on its CPU until the matching nmisafe_preempt_enable(), which reschedules nothing. Nests. */
void nmisafe_preempt_disable(void);
void nmisafe_preempt_enable(void);

/* Between nmisafe_nmi_enter() and nmisafe_nmi_exit()? In an NMI or an interrupt? In either, or a softirq? */
bool nmisafe_in_nmi(void);
bool nmisafe_in_irq(void);
bool nmisafe_in_interrupt(void);

/* Around the handler of an interrupt. Interrupt. */
void nmisafe_irq_enter(void);
void nmisafe_irq_exit(void);

/* Around the handler of an NMI whose entry is the kernel's own; the library's calls them itself. nmisafe_c_panic() is
 * called if there is no room for one more, at 15. NMI. */
void nmisafe_nmi_enter(void);
void nmisafe_nmi_exit(void);

#ifdef __cplusplus
}
#endif

#endif
