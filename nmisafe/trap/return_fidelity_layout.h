// SPDX-License-Identifier: MIT
// The register file of the return tests, shared by their harness and their C++: word numbers in
// machine_state, and where a sequence under test finds its hardware frame.
#ifndef NMISAFE_TRAP_RETURN_FIDELITY_LAYOUT_H
#define NMISAFE_TRAP_RETURN_FIDELITY_LAYOUT_H

#define STATE_AX 0
#define STATE_CX 1
#define STATE_DX 2
#define STATE_BX 3
#define STATE_SP 4
#define STATE_BP 5
#define STATE_SI 6
#define STATE_DI 7

#if defined(__x86_64__)
#define STATE_R8 8
#define STATE_GENERAL 16     // number of general registers, R8 .. R15 follow in order
#define STATE_FRAME_NEXT 16  // hardware frame right above the saved RCX and RAX
#define STATE_FRAME_DEEP 32  // with a vector and an error code in between
#else
#define STATE_GENERAL 8
#define STATE_FRAME_NEXT 0
#define STATE_FRAME_DEEP 8
#endif

#define STATE_FLAGS STATE_GENERAL
#define STATE_CS (STATE_GENERAL + 1)
#define STATE_SS (STATE_GENERAL + 2)
#define STATE_WORDS (STATE_GENERAL + 3)

#endif
