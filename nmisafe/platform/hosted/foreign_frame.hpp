// SPDX-License-Identifier: MIT
/// A frame as a kernel with entry code of its own may have it: other names, another order, words in between. For the
/// hosted platform if the build has NMISAFE_FOREIGN_FRAME; x86-64, where a signal has the stack pointer.
#pragma once

#include "nmisafe/platform/frame_layout.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace nmisafe::platform::hosted {

struct foreign_frame {
    uint64_t kind;
    uint64_t rax, rbx, rcx, rdx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t thread, code;
    uint64_t rip, cs, rflags, rsp, ss;
};

inline constexpr frame_layout foreign_layout = {
    .ip = offsetof(foreign_frame, rip),
    .flags = offsetof(foreign_frame, rflags),
    .error = offsetof(foreign_frame, code),
    .sp = offsetof(foreign_frame, rsp),
    .registers = {offsetof(foreign_frame, rax), offsetof(foreign_frame, rcx),
                  offsetof(foreign_frame, rdx), offsetof(foreign_frame, rbx), 0,
                  offsetof(foreign_frame, rbp), offsetof(foreign_frame, rsi),
                  offsetof(foreign_frame, rdi), offsetof(foreign_frame, r8),
                  offsetof(foreign_frame, r9), offsetof(foreign_frame, r10),
                  offsetof(foreign_frame, r11), offsetof(foreign_frame, r12),
                  offsetof(foreign_frame, r13), offsetof(foreign_frame, r14),
                  offsetof(foreign_frame, r15)},
};

/// Calls `function(theirs, ours)` for each word that the two have in common.
template <typename Function>
void for_each_word(foreign_frame& theirs, x86::trap_frame& ours, Function function) {
    function(theirs.rax, ours.ax);
    function(theirs.rbx, ours.bx);
    function(theirs.rcx, ours.cx);
    function(theirs.rdx, ours.dx);
    function(theirs.rbp, ours.bp);
    function(theirs.rsi, ours.si);
    function(theirs.rdi, ours.di);
    function(theirs.r8, ours.r8);
    function(theirs.r9, ours.r9);
    function(theirs.r10, ours.r10);
    function(theirs.r11, ours.r11);
    function(theirs.r12, ours.r12);
    function(theirs.r13, ours.r13);
    function(theirs.r14, ours.r14);
    function(theirs.r15, ours.r15);
    function(theirs.rip, ours.ip);
    function(theirs.rflags, ours.flags);
    function(theirs.rsp, ours.sp);
}

} // namespace nmisafe::platform::hosted
