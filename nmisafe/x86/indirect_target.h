// SPDX-License-Identifier: MIT
// For assembly: where an indirect branch, or the delivery of an event, arrives. [intel/vol1 CET]
#ifndef NMISAFE_X86_INDIRECT_TARGET_H
#define NMISAFE_X86_INDIRECT_TARGET_H

#ifdef __ASSEMBLER__

/// Nothing unless the file is compiled for indirect branch tracking: -fcf-protection=branch or full.
.macro indirect_target
#if defined(__CET__) && (__CET__ & 1)
#ifdef __x86_64__
    endbr64
#else
    endbr32
#endif
#endif
.endm

#endif // __ASSEMBLER__
#endif
