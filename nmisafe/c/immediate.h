/* SPDX-License-Identifier: MIT */
/* Immediate values: variables that stand in the instructions that read them (nmisafe/immediate).
 *
 *     NMISAFE_C_BRANCH_DECLARE(tracing)            a header, or the one file
 *     NMISAFE_C_BRANCH_DEFINE(tracing);            one file
 *     if (nmisafe_branch_is_on_tracing()) ...      anywhere, in any context: a NOP until it is on
 *     nmisafe_branch_set(&nmisafe_branch_tracing, true);
 */
#ifndef NMISAFE_C_IMMEDIATE_H
#define NMISAFE_C_IMMEDIATE_H

#include "nmisafe/base/site_record.h"
#include "nmisafe/c/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What all sites of one value are found by. */
typedef struct NMISAFE_C_SHARED nmisafe_key {
    uintptr_t bits;
} nmisafe_key;

/* Change a value at each of its sites at one instant, or with an error at none. nmisafe_marker_set_up() has given room
 * for as many as it has. Thread, interrupts on. Errors: NO_ROOM, and nmisafe_text_patch()'s. */
nmisafe_error nmisafe_branch_set(nmisafe_key* which, bool on);
nmisafe_error nmisafe_immediate_set(nmisafe_key* which, uint32_t value);

#define NMISAFE_C_HIDDEN __attribute__((visibility("hidden")))

/* A bool, off at first. It declares nmisafe_branch_NAME and bool nmisafe_branch_is_on_NAME(void): a 5-byte NOP that
 * becomes a jump. */
#define NMISAFE_C_BRANCH_DECLARE(name)                                                             \
    extern NMISAFE_C_HIDDEN nmisafe_key nmisafe_branch_##name;                                     \
    __attribute__((always_inline, unused)) static inline bool nmisafe_branch_is_on_##name(void) {  \
        __asm__ goto(NMISAFE_IMMEDIATE_SITE(NMISAFE_IMMEDIATE_NOP, "%l[taken] - .", "1")           \
                     :                                                                             \
                     : [key] NMISAFE_SYMBOL_CONSTRAINT(&nmisafe_branch_##name)                     \
                     :                                                                             \
                     : taken);                                                                     \
        return false;                                                                              \
    taken:                                                                                         \
        return true;                                                                               \
    }
#define NMISAFE_C_BRANCH_DEFINE(name) NMISAFE_C_HIDDEN nmisafe_key nmisafe_branch_##name = {0}

/* A number of 32 bits, `initial` at first, a constant, taken modulo 2^32. It declares nmisafe_immediate_NAME and
 * uint32_t nmisafe_read_NAME(void): a MOV of an immediate, no load. */
#define NMISAFE_C_IMMEDIATE_DECLARE(name, initial)                                                 \
    extern NMISAFE_C_HIDDEN nmisafe_key nmisafe_immediate_##name;                                  \
    enum { /* each an int, whatever the number */                                                  \
           nmisafe_initial_low_of_##name = (initial)&0xffff,                                       \
           nmisafe_initial_high_of_##name = (initial) >> 16 & 0xffff                               \
    };                                                                                             \
    __attribute__((always_inline, unused)) static inline uint32_t nmisafe_read_##name(void) {      \
        uint32_t nmisafe_word;                                                                     \
        __asm__ volatile(                                                                          \
            NMISAFE_IMMEDIATE_SITE("movl %[first], %[word]", "0", "0")                             \
            : [word] "=r"(nmisafe_word)                                                            \
            : [first] "i"(initial), [key] NMISAFE_SYMBOL_CONSTRAINT(&nmisafe_immediate_##name));   \
        return nmisafe_word;                                                                       \
    }
#define NMISAFE_C_IMMEDIATE_DEFINE(name)                                                           \
    NMISAFE_C_HIDDEN nmisafe_key nmisafe_immediate_##name = {                                      \
        nmisafe_initial_high_of_##name * UINT32_C(0x10000) + nmisafe_initial_low_of_##name}

#ifdef __cplusplus
}
#endif

#endif
