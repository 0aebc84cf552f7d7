// SPDX-License-Identifier: MIT
// How a trap returns: the value the C++ dispatch hands back to the entry code in EAX.
#ifndef NMISAFE_TRAP_RETURN_KIND_H
#define NMISAFE_TRAP_RETURN_KIND_H

#define NMISAFE_RETURN_IRET 0      // unblocks NMIs, restores everything
#define NMISAFE_RETURN_NEAR 1      // popf + near return
#define NMISAFE_RETURN_NEAR_STI 2  // the same into code that had interrupts enabled
#define NMISAFE_RETURN_FAR 3       // popf + far return
#define NMISAFE_RETURN_FAR_STI 4   // the same into code that had interrupts enabled

#endif
