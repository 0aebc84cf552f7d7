// SPDX-License-Identifier: MIT
// struct user_frame of x86-32, for the entry code; user_frame.hpp has the struct.
//
//   +0x44  SS           } by the CPU, in ring 3 only; by the SYSENTER entry
//   +0x40  ESP          }
//   +0x10  struct trap_frame
//   +0x0c  DS           }
//   +0x08  ES           } by the common path
//   +0x04  FS           }
//   +0x00  GS           }  <- ESP
//
// The same of an event in ring 0, but for the first two words: they are not there.
#ifndef NMISAFE_USER_FRAME_X86_32_H
#define NMISAFE_USER_FRAME_X86_32_H

#define USER_FRAME_GS 0x00
#define USER_FRAME_FS 0x04
#define USER_FRAME_ES 0x08
#define USER_FRAME_DS 0x0c
#define USER_FRAME_TRAP 0x10
#define USER_FRAME_SP 0x40
#define USER_FRAME_SS 0x44
#define USER_FRAME_SIZE 0x48

// return_kind
#define USER_RETURN_IRET 0
#define USER_RETURN_FAST 1

#ifndef NMISAFE_USER_KERNEL_FS
#define NMISAFE_USER_KERNEL_FS 0 // a kernel that does not use FS
#endif

#endif
