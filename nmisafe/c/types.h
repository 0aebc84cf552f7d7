/* SPDX-License-Identifier: MIT */
/* What the other headers share: errors, the frame of a trap, and attributes. */
#ifndef NMISAFE_C_TYPES_H
#define NMISAFE_C_TYPES_H

#include <stddef.h>
#include <stdint.h>
#ifndef __cplusplus
#include <stdbool.h>
#endif

#if defined __i386__ && defined __PIC__ && !defined __clang__
#error                                                                                             \
    "nmisafe: gcc -m32 -fpie knows no constant addresses, and calls __x86.get_pc_thunk: use -fno-pie"
#endif

/* For functions of the kernel's own that run between a trap and its handler: handlers of #BP and #PF, and what they
 * call. No probe may stand there, and the compiler adds no call of its own, but for what clang's -mretpoline, -mlvi-cfi
 * and -mspeculative-load-hardening make of a call by a pointer and of a return: with these such functions have none,
 * or are C++ ([[NMISAFE_TRAP_TEXT]] of nmisafe/base/trap_text.hpp, with which it is refused). Those that contract.h
 * names have it from there. In another language: the section nmisafe_trap_text, and no instrumentation. */
#ifdef __clang__
#if __has_attribute(function_return)
#define NMISAFE_C_RETURNS function_return("keep"),
#else
#define NMISAFE_C_RETURNS /* clang 14 has no -mfunction-return */
#endif
#define NMISAFE_C_TRAP_TEXT                                                                        \
    __attribute__((                                                                                \
        section("nmisafe_trap_text"), no_instrument_function, no_profile_instrument_function,      \
        no_stack_protector, no_speculative_load_hardening, disable_sanitizer_instrumentation,      \
        patchable_function_entry(0, 0),                                                            \
        NMISAFE_C_RETURNS no_sanitize("address", "kernel-address", "hwaddress",                    \
                                      "kernel-hwaddress", "memory", "thread", "undefined",         \
                                      "integer", "nullability", "bounds", "implicit-conversion",   \
                                      "safe-stack", "coverage")))
#else
#define NMISAFE_C_TRAP_TEXT                                                                        \
    __attribute__((section("nmisafe_trap_text"), no_instrument_function,                           \
                   no_profile_instrument_function, no_stack_protector,                             \
                   patchable_function_entry(0, 0), no_sanitize_coverage, no_sanitize("all"),       \
                   indirect_branch("keep"), function_return("keep")))
#endif

/* Of structures that the library knows by its own names too. */
#define NMISAFE_C_SHARED __attribute__((may_alias))

#ifdef __cplusplus
extern "C" {
#endif

/* Why something is refused. Each function names the errors that it may return. Of all these only NMISAFE_BUSY passes by
 * itself: whoever gets it may try again, as often as it takes. With an error nothing has changed. */
typedef enum nmisafe_error {
    NMISAFE_OK = 0,
    NMISAFE_IN_NMI = 1, /* Asked for in an NMI handler, where nobody may wait for other CPUs. */
    NMISAFE_CANNOT_SYNCHRONISE =
        2,               /* nmisafe_c_may_synchronise() says no: interrupts off, or in a handler. */
    NMISAFE_BUSY = 3,    /* Somebody else changes the same thing. */
    NMISAFE_NO_ROOM = 4, /* More sites than nmisafe_marker_set_up() has been given room for. */
    /* Of code that is changed. */
    NMISAFE_BAD_SIZE = 5, /* No size that an instruction, or a mapping of that area, can have. */
    NMISAFE_NO_PROBE = 6, /* Code that must not be changed: the way of traps, or a probe's slot. */
    NMISAFE_NOT_TEXT = 7, /* Not code, as nmisafe_c_is_text() sees it. */
    NMISAFE_UNKNOWN_INSTRUCTION =
        8,                /* The decoder refuses it; of a patch: no form that can be emulated. */
    NMISAFE_BAD_STUB = 9, /* The stub of a CALL is missing or does something else. */
    NMISAFE_OVERLAP = 10, /* Two patches of a batch touch the same byte. */
    NMISAFE_UNEXPECTED_BYTES = 11, /* Something else stands there, such as a probe. */
    NMISAFE_NOT_BOUNDARY = 12,     /* No instruction begins there. */
    NMISAFE_NOT_PATCHED =
        13, /* A site of a marker could not be patched: a probe stands on it, say. */
    /* Of probes on instructions. */
    NMISAFE_WRONG_STATE = 14, /* Inserted already, or not inserted, or not released yet. */
    NMISAFE_OCCUPIED = 15,    /* There is a probe already. */
    NMISAFE_UNSUPPORTED = 16, /* An instruction that can be neither stepped nor emulated. */
    NMISAFE_NO_SLOT = 17,     /* The instruction needs a slot, and there is none. */
    NMISAFE_BAD_SLOT = 18,    /* Not aligned, not code, in use, or probed. */
    NMISAFE_OUT_OF_RANGE =
        19, /* From the slot, the operand relative to the instruction is too far. */
    /* Of markers. */
    NMISAFE_NO_MARKER = 20,       /* There is none of that channel and name. */
    NMISAFE_FORMAT_MISMATCH = 21, /* There is, but none with that format. */
    NMISAFE_AMBIGUOUS = 22,       /* There are several: with different formats, or defined twice. */
    NMISAFE_PROBE_IN_USE = 23,    /* Registered, or not synchronised yet since it was. */
    NMISAFE_NOT_REGISTERED = 24,  /* There is no such probe. */
    NMISAFE_BAD_MARKER = 25,      /* Its format is none: see marker.h. */
    /* Of mappings. */
    NMISAFE_BAD_PAGE = 26,   /* A physical address that is no page's. */
    NMISAFE_NO_SPACE = 27,   /* No gap in the area is large enough. */
    NMISAFE_NO_MEMORY = 28,  /* nmisafe_c_allocate_page() has none left. */
    NMISAFE_NOT_MAPPED = 29, /* No such mapping begins there. */
    NMISAFE_BAD_AREA = 30,   /* The area keeps not all the rules of vmalloc.h. */
    NMISAFE_NOT_SET_UP =
        31, /* nmisafe_vmalloc_set_up() or nmisafe_marker_set_up() has not been called, or has failed. */
    NMISAFE_NO_TOP_ENTRY = 32, /* With PAE: the kernel's top-level table lacks the entry. */
    NMISAFE_LARGE_PAGE = 33,   /* A large page stands where a table is to be. */
    NMISAFE_KERNEL_SPACE = 34  /* The address space is the kernel's own. */
} nmisafe_error;

/* The name of an error, as "NMISAFE_BUSY"; "?" of a number that is none. Any context. */
const char* nmisafe_error_name(nmisafe_error error);

/* What a trap has interrupted, and what it goes back to: on the stack, as the library's entry leaves it. A handler may
 * change all of it but ss, and sp by any amount; see there for kprobes, whose handlers may change less. */
#ifdef __x86_64__
typedef struct NMISAFE_C_SHARED nmisafe_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t bp, di, si, dx, bx, cx, ax;
    uint64_t vector, error;
    uint64_t ip, cs, flags, sp, ss;
} nmisafe_frame;
#else
/* The interrupted stack pointer of a trap in ring 0 is the address of what follows the frame: the CPU pushes none. */
typedef struct NMISAFE_C_SHARED nmisafe_frame {
    uint32_t bp, di, si, dx, bx, cx, ax;
    uint32_t vector, error;
    uint32_t ip, cs, flags;
} nmisafe_frame;
#endif

#ifdef __cplusplus
}
#endif

#endif
