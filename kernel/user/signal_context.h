// SPDX-License-Identifier: MIT
// What a signal leaves on the task's stack, and takes back: the words of the frame.
#ifndef KERNEL_USER_SIGNAL_CONTEXT_H
#define KERNEL_USER_SIGNAL_CONTEXT_H

// Offsets for the tasks' assembly.
#ifdef __x86_64__
#define CONTEXT_AX 0x70
#define CONTEXT_CX 0x68
#define CONTEXT_IP 0x88
#define CONTEXT_CS 0x90
#define CONTEXT_FLAGS 0x98
#define CONTEXT_SP 0xa0
#define CONTEXT_SS 0xa8
#define CONTEXT_SIZE 0xb0
#endif

#ifndef __ASSEMBLER__

#include "nmisafe/user/user_frame.hpp"

namespace kernel {

using signal_context = nmisafe::user::user_frame;
#ifdef __x86_64__
static_assert(offsetof(signal_context, trap.ip) == CONTEXT_IP &&
              sizeof(signal_context) == CONTEXT_SIZE);
#endif

} // namespace kernel

#endif // __ASSEMBLER__
#endif
