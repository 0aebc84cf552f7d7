// SPDX-License-Identifier: MIT
// x86-32: from user mode to C++ and back. The twin of entry_x86_64.S: same order, same labels.
#ifdef __i386__

#endif // __i386__

    .section .note.GNU-stack, "", @progbits
