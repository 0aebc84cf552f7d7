/* SPDX-License-Identifier: MIT */
/* Traps: the library's entries, handlers of the kernel's, and the return that keeps NMIs blocked (nmisafe/trap). */
#ifndef NMISAFE_C_TRAP_H
#define NMISAFE_C_TRAP_H

#include "nmisafe/c/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Vectors that have a meaning here. [intel/vol3 table 6-1] */
#define NMISAFE_VECTOR_DB 1
#define NMISAFE_VECTOR_NMI 2
#define NMISAFE_VECTOR_BP 3
#define NMISAFE_VECTOR_DF 8
#define NMISAFE_VECTOR_PF 14
#define NMISAFE_VECTOR_MC 18

/* Handles an exception or an interrupt: with interrupts off, in the context that it has interrupted, which may be an
 * NMI handler. False: it is none of this handler's, and the machine stops by nmisafe_c_panic(). Those of #BP and #PF
 * have NMISAFE_C_TRAP_TEXT where kprobes are used. */
typedef bool (*nmisafe_handler)(nmisafe_frame* frame);

/* The same; `address` is CR2, read before anything else could change it. */
typedef bool (*nmisafe_page_fault_handler)(nmisafe_frame* frame, uintptr_t address);

/* Handles an NMI, counted and with NMIs blocked until it has returned. It may hit breakpoints and take page faults; it
 * waits for nothing, takes no lock that others take, and switches no threads. */
typedef void (*nmisafe_nmi_handler)(nmisafe_frame* frame);

/* Set a handler, by one store: thread, also while traps come in. nmisafe_set_handler() panics for the vectors of the
 * two others. */
void nmisafe_set_handler(uint8_t vector, nmisafe_handler function);
void nmisafe_set_page_fault_handler(nmisafe_page_fault_handler function);
void nmisafe_set_nmi_handler(nmisafe_nmi_handler function);

/* The library's entry for a vector: what its gate leads to, an interrupt gate of ring 0. Any context. */
uintptr_t nmisafe_entry_address(uint8_t vector);

/* Writes that gate into an IDT, of 16 bytes a gate, on x86-32 of 8. On x86-64 NMI, #DB, #DF and #MC have an IST of
 * their own (`ist` 1 to 7; the NMI's is NMISAFE_NMI_IST), all others none (0); on x86-32 `ist` is not looked at, and
 * #DF gets a task gate of the kernel's own. Thread. */
void nmisafe_fill_gate(void* idt, uint8_t vector, uint16_t code_selector, uint8_t ist);

#ifdef __x86_64__
/* The NMI's, which the same option changes for the library, C and assembly: -DNMISAFE_TRAP_NMI_IST=3. */
#ifdef NMISAFE_TRAP_NMI_IST
#define NMISAFE_NMI_IST NMISAFE_TRAP_NMI_IST
#else
#define NMISAFE_NMI_IST 1
#endif

/* What LTR makes known, by a descriptor in the GDT. ist[n] is IST n + 1. */
typedef struct __attribute__((packed, may_alias)) nmisafe_tss {
    uint32_t reserved_0;
    uint64_t rsp[3];
    uint64_t reserved_1;
    uint64_t ist[7];
    uint64_t reserved_2;
    uint16_t reserved_3, io_map_base;
} nmisafe_tss;

/* What lies at the top of the NMI's stack of each CPU, above at least NMISAFE_SMALLEST_NMI_STACK bytes and what the
 * handlers need: in one page, always mapped. The CPU's TSS is in it. Options of the library with a word of their own
 * here (isolated page tables, shadow stacks, FSGSBASE) are set up from C++. */
typedef struct __attribute__((packed, aligned(16), may_alias)) nmisafe_nmi_block {
    uint8_t internal[180];
    nmisafe_tss tss;
    uint8_t more[228];
} nmisafe_nmi_block;

#define NMISAFE_SMALLEST_NMI_STACK 4096
#define NMISAFE_SMALLEST_STACK 2048 /* of #DB, #DF and #MC, and the handlers' need on top */

/* Initialises a CPU's block, of which the NMI's word of the IST then is; all else of the TSS is kept. The kernel makes
 * the descriptor of block->tss, and loads TR. `gs_base` is what the NMI loads: of this CPU's data, or 0. Thread, at
 * boot or before that CPU runs. Panics if the block is not aligned or not in one page. */
void nmisafe_set_up_nmi_block(nmisafe_nmi_block* block, uintptr_t gs_base);
#else
/* The GS selector that an NMI loads. Thread, before the first NMI source is started. */
void nmisafe_set_percpu_selector(uint16_t selector);
#endif

/* Says what DR7 is to be on this CPU: the only way to arm breakpoints of the debug registers. Any context, interrupts
 * off. */
void nmisafe_set_debug_control(uintptr_t value);

/* Looks whether this CPU is set up as the library needs it, and says in one line what is wrong, and of which vector if
 * `vector` is not null; null if nothing is. Bit n of `own` says that the gate of vector n leads to an entry of the
 * kernel's own. Thread, preemption off, when all is set up and before NMIs can come. */
const char* nmisafe_check_setup(uint32_t own, uint8_t* vector);

#ifdef __cplusplus
}
#endif

#endif
