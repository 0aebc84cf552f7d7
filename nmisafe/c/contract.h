/* SPDX-License-Identifier: MIT */
/* What the kernel defines for the library: the platform contract (nmisafe/platform) as functions of C. Each is needed
 * only by who links the module that it stands under.
 *
 * They are called in any context where nothing else is said, NMI included, before and after an NMI is counted: so they
 * take no lock, allocate nothing and touch no memory that may fault. Those with NMISAFE_C_TRAP_TEXT run between a trap
 * and its handler; the attribute comes from here to the definition, which calls only what has it too. */
#ifndef NMISAFE_C_CONTRACT_H
#define NMISAFE_C_CONTRACT_H

#include "nmisafe/c/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The words that the library keeps for each CPU: zero at boot, always mapped, one for each CPU. Only that CPU writes
 * them; any may read those that have a comment here, and sees a recent value of each. */
typedef struct NMISAFE_C_SHARED nmisafe_cpu_state {
    uintptr_t debug_control;
    uint32_t
        nmi_in_progress; /* NMI handlers in progress. A kernel with an NMI entry of its own counts it. */
    uint32_t nmi_like_in_progress; /* #DB and #MC in progress. */
    uint32_t nmi_latch, nmi_pending;
    uint32_t iret_returns; /* Returns from traps that had to take IRET. */
    uint32_t
        iret_returns_in_nmi; /* Those of them, or by the policy, that unblocked NMIs too early. */
    uint32_t safe_returns;   /* Returns that kept NMIs blocked. */
    uint32_t last_iret_reason;
    uint8_t in_probe_handler[2];
    uint32_t nmi_handler_debugged;
    uint32_t dropped_hits; /* Hits of markers that called nothing: too many were under way. */
    uintptr_t nmi_debug_control;
#ifdef __x86_64__
    uintptr_t debug_frame;
    uint64_t debug_stacks[6];
#endif
} nmisafe_cpu_state;

/* Why the library cannot go on. */
typedef struct NMISAFE_C_SHARED nmisafe_failure {
    const char* what;           /* One clause of plain text, never null. */
    const nmisafe_frame* frame; /* Of the exception at hand; null if there is none. */
    uintptr_t value;            /* What the text is about; 0 if nothing. */
} nmisafe_failure;

/* --- nmisafe::c ---------------------------------------------------------------------------------------------------- */

/* Reads this CPU's (or thread's) preempt count, anew at each call. */
NMISAFE_C_TRAP_TEXT uint32_t nmisafe_c_preempt_count(void);

/* Adds to it modulo 2^32, by one instruction on the word itself: an NMI may land anywhere. On x86 an ADD to memory,
 * through the segment of per-CPU data where there is one; no LOCK, since no other CPU writes it. */
NMISAFE_C_TRAP_TEXT void nmisafe_c_add_preempt_count(uint32_t delta);

/* This CPU's words. */
NMISAFE_C_TRAP_TEXT nmisafe_cpu_state* nmisafe_c_this_cpu(void);

/* Says it and stops the machine. It waits for no lock. */
__attribute__((noreturn)) void nmisafe_c_panic(const nmisafe_failure* why);

/* --- nmisafe::c_probes --------------------------------------------------------------------------------------------- */

/* Changes code, through a writable alias of it; a size of 1 with one store. Thread. */
void nmisafe_c_write_text(uintptr_t address, const uint8_t* bytes, size_t size);

/* Reads code. */
NMISAFE_C_TRAP_TEXT void nmisafe_c_read_text(uintptr_t address, uint8_t* bytes, size_t size);

/* Whether all of it is code, which is mapped on the CPU that has just executed it. */
NMISAFE_C_TRAP_TEXT bool nmisafe_c_is_text(uintptr_t begin, uintptr_t end);

/* Whether any of it must not be hit by a breakpoint: what runs between a #BP and its handler, and is not in the section
 * nmisafe_trap_text. */
NMISAFE_C_TRAP_TEXT bool nmisafe_c_is_no_probe(uintptr_t begin, uintptr_t end);

/* Whether nmisafe_c_synchronise_cpus() may be called here: interrupts on, or one CPU only and no handler in progress on
 * it. A handler of an NMI, of #DB or #MC, of an interrupt or of a probe may have interrupted the very code that its
 * caller would wait for. For c_vmalloc too. */
bool nmisafe_c_may_synchronise(void);

/* Returns when each CPU, this one too, has executed a serialising instruction (CPUID, IRET) since the call, at a place
 * where it takes interrupts: an NMI will not do. Thread. */
void nmisafe_c_synchronise_cpus(void);

/* Returns when each CPU has been, since the call, outside of all code that runs with the preempt count raised. Thread,
 * with interrupts on and the count at 0. */
void nmisafe_c_wait_for_grace_period(void);

/* --- nmisafe::c_vmalloc: threads, where nothing else is said ------------------------------------------------------- */

/* The physical address of the kernel's own top-level page table. Any context. */
NMISAFE_C_TRAP_TEXT uint64_t nmisafe_c_kernel_top_table(void);

/* Where each address space has that page table, or page of nmisafe_c_allocate_page(). Any context. */
NMISAFE_C_TRAP_TEXT void* nmisafe_c_page_at(uint64_t physical);

/* Zeroed pages by physical address, 0 if there is none left; and back. */
uint64_t nmisafe_c_allocate_page(void);
void nmisafe_c_free_page(uint64_t physical);

/* Whether entries may have bit 63 set: EFER.NXE is on. */
bool nmisafe_c_has_no_execute(void);

/* Returns when no CPU's TLB has translations of that range from before the call. */
void nmisafe_c_flush_tlb(uintptr_t begin, uintptr_t end);

/* Let one thread at a time in; who waits does so with interrupts on. */
void nmisafe_c_lock_mappings(void);
void nmisafe_c_unlock_mappings(void);

/* Calls it for each address space, by its top-level table, while none is made or destroyed. */
void nmisafe_c_for_each_top_table(void (*function)(uint64_t top_table, void* argument),
                                  void* argument);

#ifdef __cplusplus
}
#endif

#endif
