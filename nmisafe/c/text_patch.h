/* SPDX-License-Identifier: MIT */
/* Replaces instructions on running CPUs, any of which may be executing them, also in an NMI (nmisafe/text_patch). */
#ifndef NMISAFE_C_TEXT_PATCH_H
#define NMISAFE_C_TEXT_PATCH_H

#include "nmisafe/c/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NMISAFE_LONGEST_INSTRUCTION 15

/* One instruction to be replaced by another of the same length, both of a form that nmisafe/text_patch/README.md lists:
 * NOP, jumps, CALL with a stub, MOV of an immediate. A size of 1 that puts on or takes off INT3 may stand on any. Zero
 * what is not named here. */
typedef struct NMISAFE_C_SHARED nmisafe_patch {
    uintptr_t address;
    uintptr_t
        function; /* Where to decode from, to be sure that one begins at `address`; 0: the caller is sure. */
    uintptr_t
        stub_before; /* Of a CALL: code that does `call target; jmp next`, and stays. 0 otherwise. */
    uintptr_t stub_after;
    uint8_t size;
    uint8_t expected_size; /* Of INT3 on an instruction: all its length, or 0. */
    uint8_t before[NMISAFE_LONGEST_INSTRUCTION]; /* What the caller takes to be there. */
    uint8_t after[NMISAFE_LONGEST_INSTRUCTION];
    struct {
        const void* links[2];
        uintptr_t words[2];
        uint8_t bytes[4];
    } internal;
} nmisafe_patch;

/* Replaces all instructions of a batch at one instant, or with an error none. The array is sorted in place, and stays
 * where it is until the call returns. The target of a CALL that was replaced may still be called by a thread that was
 * interrupted at its stub. Thread, interrupts on.
 * Errors: IN_NMI, CANNOT_SYNCHRONISE, BUSY, BAD_SIZE, NO_PROBE, NOT_TEXT, UNKNOWN_INSTRUCTION, BAD_STUB, OVERLAP,
 * UNEXPECTED_BYTES, NOT_BOUNDARY. */
nmisafe_error nmisafe_text_patch(nmisafe_patch* patches, size_t count);

/* For the kernel's #BP handler to call first of all, then nmisafe_kprobe_handle_breakpoint(). True: the INT3 was the
 * library's, and the frame goes on. False: it is somebody else's. Any context, interrupts off. */
bool nmisafe_text_patch_handle_breakpoint(nmisafe_frame* frame);

#ifdef __cplusplus
}
#endif

#endif
