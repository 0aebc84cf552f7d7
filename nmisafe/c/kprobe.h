/* SPDX-License-Identifier: MIT */
/* Breakpoint probes: a handler before and one after an instruction, in any context, in an NMI too (nmisafe/kprobe). */
#ifndef NMISAFE_C_KPROBE_H
#define NMISAFE_C_KPROBE_H

#include "nmisafe/c/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NMISAFE_SLOT_SIZE 32

#ifdef __x86_64__
#define NMISAFE_KPROBE_WORDS 19
#else
#define NMISAFE_KPROBE_WORDS 21
#endif

struct nmisafe_kprobe;

/* A probe's handler. frame->ip is the instruction's address before it, and after it where the CPU goes on. It may change
 * the general registers and the arithmetic flags; ip, sp, cs, IF and TF it leaves alone. Any context, interrupts off;
 * it waits for nothing and touches memory that is always mapped. */
typedef void (*nmisafe_kprobe_handler)(struct nmisafe_kprobe* probe, nmisafe_frame* frame);

/* One probe: static, or resident from insertion to release. Zero what is not named here. */
typedef struct NMISAFE_C_SHARED nmisafe_kprobe {
    uintptr_t address; /* The instruction. */
    uintptr_t
        function; /* Where to decode from: an instruction at or before it, as a function's first. */
    uintptr_t
        slot; /* NMISAFE_SLOT_SIZE bytes of code, so aligned, that nobody else uses. 0: none. */
    nmisafe_kprobe_handler pre;  /* May be null. */
    nmisafe_kprobe_handler post; /* May be null. */
    void* argument;              /* For the handlers. */
    uint32_t hits;               /* Passes of the pre handler, over all CPUs. */
    uint32_t completed;          /* Of the post handler. */
    uint32_t missed;             /* Hit inside a handler: executed without calling any. */
    uintptr_t internal[NMISAFE_KPROBE_WORDS];
} nmisafe_kprobe;

/* Puts a probe on its instruction. Thread, interrupts on.
 * Errors: IN_NMI, CANNOT_SYNCHRONISE, BUSY, WRONG_STATE, NO_PROBE, NOT_TEXT, UNKNOWN_INSTRUCTION, NOT_BOUNDARY, OCCUPIED,
 * UNSUPPORTED, NO_SLOT, BAD_SLOT, OUT_OF_RANGE, UNEXPECTED_BYTES. */
nmisafe_error nmisafe_kprobe_insert(nmisafe_kprobe* probe);

/* Takes it off: when it returns, no handler of it runs. But a thread may still be in the slot, so probe and slot stay.
 * Thread, interrupts on. Errors: IN_NMI, CANNOT_SYNCHRONISE, BUSY, WRONG_STATE, NO_PROBE. */
nmisafe_error nmisafe_kprobe_remove(nmisafe_kprobe* probe);

/* Gives a removed probe and its slot back to who knows that since its removal every thread has run outside of the slot.
 * Thread, interrupts on. Errors: IN_NMI, CANNOT_SYNCHRONISE, BUSY, WRONG_STATE. */
nmisafe_error nmisafe_kprobe_release(nmisafe_kprobe* probe);

/* For the kernel's #BP handler, after nmisafe_text_patch_handle_breakpoint(). True: the INT3 was a probe's or a slot's,
 * and the frame goes on. Any context, interrupts off. */
bool nmisafe_kprobe_handle_breakpoint(nmisafe_frame* frame);

/* The probed instruction's address for an instruction pointer in a slot, any other as it is: for whoever looks at where
 * a trap has come from. Any context, interrupts off. */
uintptr_t nmisafe_kprobe_original_address(uintptr_t ip);

#ifdef __cplusplus
}
#endif

#endif
