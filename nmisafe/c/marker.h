/* SPDX-License-Identifier: MIT */
/* Markers: lines of instrumentation that are a 5-byte NOP until somebody registers a probe (nmisafe/marker).
 *
 *     NMISAFE_C_MARKER_DECLARE(net_packet, "len %u flags %x")    a header, or the one file
 *     NMISAFE_C_MARKER_DEFINE(net_packet, "net", "packet");      one file
 *     NMISAFE_C_MARK(net_packet, length, flags);                 anywhere, in any context
 *
 * The compiler's -Wformat compares arguments and format. Of conversions there are d i u x X o c p s, at most 16. */
#ifndef NMISAFE_C_MARKER_H
#define NMISAFE_C_MARKER_H

#include "nmisafe/c/immediate.h"
#include "nmisafe/c/text_patch.h"
#include "nmisafe/c/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NMISAFE_MOST_ARGUMENTS 16

typedef enum nmisafe_argument_kind {
    NMISAFE_SIGNED = 1,    /* %d %i */
    NMISAFE_UNSIGNED = 2,  /* %u %x %X %o */
    NMISAFE_CHARACTER = 3, /* %c */
    NMISAFE_POINTER = 4,   /* %p */
    NMISAFE_STRING = 5     /* %s: good for as long as the probe runs */
} nmisafe_argument_kind;

typedef struct NMISAFE_C_SHARED nmisafe_argument_type {
    uint8_t kind; /* nmisafe_argument_kind */
    uint8_t size; /* in bytes */
    uint8_t base; /* to be shown in: 8, 10, 16, or 0 */
} nmisafe_argument_type;

/* A marker, of C or C++. Channel, name and format may be read in any context; all else is the library's. That of C is
 * not to be const: nmisafe_marker_set_up() fills in `count` and what `types` leads to. */
typedef struct NMISAFE_C_SHARED nmisafe_marker {
    const char *channel, *name, *format;
    const nmisafe_argument_type* types;
    uint8_t count;
    nmisafe_key* on;
    const void* hit;
    uint32_t arm_count;
    void *first, *twin;
    bool is_listed;
} nmisafe_marker;

/* The arguments of one hit, on the stack of whoever hit the marker. */
typedef struct nmisafe_arguments nmisafe_arguments;

size_t nmisafe_argument_count(const nmisafe_arguments* values);
/* One of them, zero-extended from its size: bits, a number or a pointer. Traps if there is no such argument. */
uint64_t nmisafe_argument(const nmisafe_arguments* values, size_t index);
/* The same, sign-extended. Any context, all three. */
int64_t nmisafe_signed_argument(const nmisafe_arguments* values, size_t index);

/* Called for each hit, in the context of the hit: any, NMI included. The preempt count is raised. */
typedef void (*nmisafe_probe_function)(const nmisafe_marker* which, void* private_data,
                                       const nmisafe_arguments* values);

/* A function with its private pointer, to be registered with one marker: static, or resident until
 * nmisafe_marker_synchronise() after its unregistration has returned. Zero what is not named here. */
typedef struct NMISAFE_C_SHARED nmisafe_probe {
    nmisafe_probe_function function;
    void* private_data;
    struct {
        void* links[2];
        uint32_t words[2];
    } internal;
} nmisafe_probe;

/* Before the first registration, and before a C++ side looks at the markers of C: reads their formats, and gives
 * registrations and nmisafe_branch_set() memory for their patches, as many as a marker or branch has sites. It stays
 * theirs. Thread. NMISAFE_BAD_MARKER: a format is none of the above, and nothing has changed. */
nmisafe_error nmisafe_marker_set_up(nmisafe_patch* workspace, size_t count);

/* Registers a probe with the marker of that channel, name and format (null: whatever its format), and turns the marker
 * on if it is the first. Thread, interrupts on.
 * Errors: NOT_SET_UP, NO_MARKER, FORMAT_MISMATCH, AMBIGUOUS, PROBE_IN_USE, IN_NMI, CANNOT_SYNCHRONISE, BUSY, NO_ROOM, NOT_PATCHED. */
nmisafe_error nmisafe_marker_register(const char* channel, const char* name, const char* format,
                                      nmisafe_probe* probe);

/* Takes a probe off, and turns the marker off if it was the last. Hits that have begun may still call it. Thread,
 * interrupts on. Errors: NOT_REGISTERED, IN_NMI, CANNOT_SYNCHRONISE, BUSY. */
nmisafe_error nmisafe_marker_unregister(nmisafe_probe* probe);

/* Returns when each probe that was unregistered before has returned from its last call. Thread, interrupts on, preempt
 * count 0. Errors: IN_NMI, CANNOT_SYNCHRONISE, BUSY. */
nmisafe_error nmisafe_marker_synchronise(void);

/* Calls it for each marker, of C and C++. Any context. */
void nmisafe_for_each_marker(void (*visit)(const nmisafe_marker* which, void* argument),
                             void* argument);

/* What a statement does that is on. For who has no macro: a branch of its own in front of it. Any context. */
__attribute__((format(printf, 2, 3), cold)) void nmisafe_marker_hit(const nmisafe_marker* which,
                                                                    const char* format, ...);

/* Where a marker without probes leads: an object of the C++ side. */
extern const char nmisafe_marker_calls_none __asm__("_ZN7nmisafe6marker8internal10calls_noneE");

/* File scope, in C++ outside of namespaces. The same in each file that has the marker: in a header, if they are several. */
#define NMISAFE_C_MARKER_DECLARE(id, format_text)                                                  \
    __attribute__((unused)) static const char nmisafe_marker_format_##id[] = format_text;          \
    extern NMISAFE_C_HIDDEN nmisafe_marker nmisafe_marker_##id;                                    \
    NMISAFE_C_BRANCH_DECLARE(marker_##id)

/* The same scope, in one of them. The object has a section of its own, with which its entry in the table of markers lives
 * and dies; clang assembles what stands here before it, and knows that section by the label alone. */
#define NMISAFE_C_MARKER_DEFINE(id, channel_text, name_text)                                       \
    NMISAFE_C_BRANCH_DEFINE(marker_##id);                                                          \
    static nmisafe_argument_type nmisafe_marker_types_##id[NMISAFE_MOST_ARGUMENTS];                \
    __attribute__((used, section(".data.nmisafe_marker_" #id)))                                    \
    NMISAFE_C_HIDDEN nmisafe_marker nmisafe_marker_##id = {channel_text,                           \
                                                           name_text,                              \
                                                           nmisafe_marker_format_##id,             \
                                                           nmisafe_marker_types_##id,              \
                                                           0,                                      \
                                                           &nmisafe_branch_marker_##id,            \
                                                           &nmisafe_marker_calls_none,             \
                                                           0,                                      \
                                                           NULL,                                   \
                                                           NULL,                                   \
                                                           true};                                  \
    __asm__(".pushsection .data.nmisafe_marker_" #id ", \"aw\", @progbits\n"                       \
            ".Lnmisafe_marker_section_" #id ":\n\t"                                                \
            ".popsection\n\t" NMISAFE_MARKER_ENTRY("ao", "nmisafe_marker_" #id,                    \
                                                   ".Lnmisafe_marker_section_" #id))

/* The statement; arguments are evaluated only while it is on. NMISAFE_C_MARK_ONLY: of a format without conversions. */
#define NMISAFE_C_MARK(id, ...)                                                                    \
    do {                                                                                           \
        if (__builtin_expect(nmisafe_branch_is_on_marker_##id(), 0))                               \
            nmisafe_marker_hit(&nmisafe_marker_##id, nmisafe_marker_format_##id, __VA_ARGS__);     \
    } while (0)
#define NMISAFE_C_MARK_ONLY(id)                                                                    \
    do {                                                                                           \
        if (__builtin_expect(nmisafe_branch_is_on_marker_##id(), 0))                               \
            nmisafe_marker_hit(&nmisafe_marker_##id, nmisafe_marker_format_##id);                  \
    } while (0)

#ifdef __cplusplus
}
#endif

#endif
