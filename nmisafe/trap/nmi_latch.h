// SPDX-License-Identifier: MIT
// x86-32: what the C++ side of the NMI gives back to nmi_x86_32.S in EAX, if not the address of cpu_state::nmi_latch,
// and where the words lie behind that address.
#ifndef NMISAFE_TRAP_NMI_LATCH_H
#define NMISAFE_TRAP_NMI_LATCH_H

#define NMISAFE_NMI_NESTED 0      // remembered: go back by POPF and a return
#define NMISAFE_NMI_NESTED_IRET 1 // the same; the image is not plain

#define NMISAFE_USER_NMI_DONE 0x100 // the module user's: no return kind; the handler has run

#define NMI_LATCH 0   // cpu_state::nmi_latch
#define NMI_PENDING 4 // cpu_state::nmi_pending

#endif
