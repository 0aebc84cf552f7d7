// SPDX-License-Identifier: MIT
#include "kernel/cpu/checkpoint.hpp"

#include "kernel/cpu/per_cpu.hpp"
#include "nmisafe/tracer/cpu.hpp"
#include "nmisafe/trap/nmi_block.h"

/// Called by checkpoint_x86_*.S, on the stack that is gone back to.
extern "C" [[NMISAFE_ASSEMBLY_CALL]] void kernel_abandon_nmi() {
#ifdef __x86_64__
    nmisafe::trap::abandon_nmi(*kernel::this_cpu().nmi_block);
#else
    nmisafe::trap::abandon_nmi();
#endif
    nmisafe::tracer::leave(0); // as a thread: traces of controls say no more
}
