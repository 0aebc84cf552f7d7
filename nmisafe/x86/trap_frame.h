// SPDX-License-Identifier: MIT
// The trap frame: what an entry stub leaves on the stack, lowest address first. One description for
// assembly (the offsets) and C++ (the struct); the assertions hold them together.
//
//   x86-64                          x86-32
//   +0xa8 ss     }                                       (pushed only when the CPU comes from ring 3:
//   +0xa0 sp     }                                        user_sp, user_ss; not part of this struct)
//   +0x98 flags  } by the CPU       +0x2c flags  }
//   +0x90 cs     }                  +0x28 cs     } by the CPU
//   +0x88 ip     }                  +0x24 ip     }
//   +0x80 error  } by the CPU or 0  +0x20 error  } by the CPU or 0
//   +0x78 vector } by the stub      +0x1c vector } by the stub
//   +0x70 ax     }                  +0x18 ax     }
//   +0x68 cx     }                  +0x14 cx     }
//   +0x60 bx     }                  +0x10 bx     } by the common path
//    ...         } by the           +0x0c dx     }
//   +0x38 r8     } common path      +0x08 si     }
//    ...         }                  +0x04 di     }
//   +0x00 r15    }  <- sp           +0x00 bp     }  <- sp
//
// AX and CX are the last to be popped: the IRET-free return borrows them until its final steps.
#ifndef NMISAFE_X86_TRAP_FRAME_H
#define NMISAFE_X86_TRAP_FRAME_H

#ifdef __x86_64__
#define FRAME_BP 0x40
#define FRAME_CX 0x68
#define FRAME_AX 0x70
#define FRAME_VECTOR 0x78
#define FRAME_ERROR 0x80
#define FRAME_IP 0x88
#define FRAME_CS 0x90
#define FRAME_FLAGS 0x98
#define FRAME_SP 0xa0
#define FRAME_SS 0xa8
#define FRAME_SIZE 0xb0
#else
#define FRAME_BP 0x00
#define FRAME_CX 0x14
#define FRAME_AX 0x18
#define FRAME_VECTOR 0x1c
#define FRAME_ERROR 0x20
#define FRAME_IP 0x24
#define FRAME_CS 0x28
#define FRAME_FLAGS 0x2c
#define FRAME_SIZE 0x30
#endif

// A bit that no stub sets, in the word with the vector: note_return_address().
#define FRAME_RETURN_ADDRESS 0x100

#ifndef __ASSEMBLER__

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

namespace nmisafe::x86 {

#ifdef __x86_64__
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t bp, di, si, dx, bx, cx, ax;
    uint64_t vector, error;
    uint64_t ip, cs, flags, sp, ss;

    /// The interrupted stack pointer: pushed by the CPU on every event in 64-bit mode.
    uintptr_t interrupted_sp() const { return sp; }
};
static_assert(offsetof(trap_frame, sp) == FRAME_SP && offsetof(trap_frame, ss) == FRAME_SS);
static_assert(sizeof(trap_frame) % 16 == 0, "the stack is aligned for the call into C++");
#else
struct trap_frame {
    uint32_t bp, di, si, dx, bx, cx, ax;
    uint32_t vector, error;
    uint32_t ip, cs, flags;

    /// The interrupted stack pointer of a trap taken in ring 0: the CPU pushed no ESP, the frame
    /// simply lies on the interrupted stack. Meaningless for a frame from ring 3.
    uintptr_t interrupted_sp() const { return reinterpret_cast<uintptr_t>(this + 1); }
};
#endif

/// Tells the return that a handler has made the word at the top of the interrupted stack a return
/// address, as a CALL does: on the shadow stack, where there is one, the same is pushed. Once a trap.
/// @context any
[[NMISAFE_TRAP_INLINE]] inline void note_return_address([[maybe_unused]] trap_frame& frame) {
#ifdef NMISAFE_SHADOW_STACK
    frame.vector |= FRAME_RETURN_ADDRESS;
#endif
}

static_assert(offsetof(trap_frame, bp) == FRAME_BP && offsetof(trap_frame, cx) == FRAME_CX);
static_assert(offsetof(trap_frame, ax) == FRAME_AX && offsetof(trap_frame, vector) == FRAME_VECTOR);
static_assert(offsetof(trap_frame, error) == FRAME_ERROR && offsetof(trap_frame, ip) == FRAME_IP);
static_assert(offsetof(trap_frame, cs) == FRAME_CS && offsetof(trap_frame, flags) == FRAME_FLAGS);
static_assert(sizeof(trap_frame) == FRAME_SIZE);

} // namespace nmisafe::x86

#endif // __ASSEMBLER__
#endif
