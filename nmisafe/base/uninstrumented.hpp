// SPDX-License-Identifier: MIT
/// Code into which the compiler puts nothing of its own: no tracer's or profiler's call, no
/// sanitizer, no coverage, no stack protector. For what runs where such a call would be fatal, and
/// for what is inlined there: some compilers instrument a function before they inline it.
#pragma once

// A list of attributes, to stand between [[ and ]].
#ifdef __clang__
#define NMISAFE_UNINSTRUMENTED                                                                     \
    gnu::no_instrument_function, gnu::no_profile_instrument_function, clang::no_stack_protector,   \
        clang::no_speculative_load_hardening, clang::disable_sanitizer_instrumentation,            \
        clang::no_sanitize("address", "kernel-address", "hwaddress", "kernel-hwaddress", "memory", \
                           "thread", "undefined", "integer", "nullability", "bounds",              \
                           "implicit-conversion", "safe-stack", "coverage")
#else
// With gcov or a profile, and without optimisation, g++ inlines no such function into one without
// these attributes: it then refuses to compile, at -O1 it does as told.
#define NMISAFE_UNINSTRUMENTED                                                                     \
    gnu::no_instrument_function, gnu::no_profile_instrument_function, gnu::no_stack_protector,     \
        gnu::no_sanitize_coverage, gnu::no_sanitize("all")
#endif

/// Inlined wherever it is called, at -O0 too, and uninstrumented there: all that code in
/// NMISAFE_TRAP_TEXT (trap_text.hpp) calls.
#define NMISAFE_TRAP_INLINE gnu::always_inline, NMISAFE_UNINSTRUMENTED
