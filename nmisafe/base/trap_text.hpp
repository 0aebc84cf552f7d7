// SPDX-License-Identifier: MIT
/// Code that no probe, breakpoint or tracer may touch, as attributes of its functions.
///
/// Everything that runs between a trap's delivery and its handler, or between the handler and the
/// return, is in one section, with the entry code: a trap there would come back to where it was
/// taken, or lose CR2. What is called from here is in it too or NMISAFE_TRAP_INLINE, unless it
/// never returns. Handlers of breakpoints and page faults, and hooks of the platform that are not
/// inlined, are such functions too:
///
///     [[NMISAFE_TRAP_TEXT]] bool on_breakpoint(x86::trap_frame& frame) { ... }
///
/// What a compiler would call there of its own accord is switched off for the function, or refused
/// at compile time. docs/compilers.md lists what becomes of each option; tests/flags tries them.
#pragma once

#include "nmisafe/base/uninstrumented.hpp"

// A list of attributes, to stand between [[ and ]].
#define NMISAFE_TRAP_TEXT                                                                          \
    gnu::section("nmisafe_trap_text"), gnu::patchable_function_entry(0, 0),                        \
        NMISAFE_TRAP_TEXT_BRANCHES NMISAFE_UNINSTRUMENTED

#ifdef __clang__
#include "nmisafe/base/internal/clang_thunks.hpp"
#if __has_cpp_attribute(gnu::function_return)
#define NMISAFE_TRAP_TEXT_BRANCHES gnu::function_return("keep"),
#else
#define NMISAFE_TRAP_TEXT_BRANCHES // clang 14 has no -mfunction-return
#endif
#else
#define NMISAFE_TRAP_TEXT_BRANCHES gnu::indirect_branch("keep"), gnu::function_return("keep"),
#if defined __i386__ && defined __PIC__
#error "nmisafe: g++ -m32 -fpie calls __x86.get_pc_thunk where nothing may be called: use -fno-pie"
#endif
#endif
