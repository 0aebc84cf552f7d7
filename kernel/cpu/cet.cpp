// SPDX-License-Identifier: MIT
#include "kernel/cpu/cet.hpp"

#if defined __CET__ && (__CET__ & 1)

namespace kernel {

using namespace nmisafe;

namespace internal {

uint32_t cet_control;

void prepare_cet(const cpu& mine) {
    x86::write_cr4(x86::read_cr4() | X86_CR4_CET);
#ifdef NMISAFE_SHADOW_STACK
    if (!uses_shadow_stacks())
        return;
    x86::write_msr(X86_MSR_PL0_SSP, mine.shadow_stack);
    x86::write_msr(X86_MSR_INTERRUPT_SSP_TABLE,
                   reinterpret_cast<uintptr_t>(mine.nmi_block) + NMI_BLOCK_SSP_TABLE);
#else
    static_cast<void>(mine);
#endif
}

} // namespace internal

bool choose_cet(bool shadow_stacks, bool branch_tracking) {
    if (shadow_stacks && !image_has_shadow_stacks)
        return false;
    constexpr uint32_t features =
        7; // ECX bit 7: shadow stacks, EDX bit 20: tracking [intel/vol2 CPUID]
    uint32_t a = 0;
    uint32_t b;
    uint32_t c = 0;
    uint32_t d;
    asm("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (a >= features) {
        a = features;
        c = 0;
        asm("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    } else {
        c = d = 0;
    }
    if ((shadow_stacks && (c >> 7 & 1) == 0) || (branch_tracking && (d >> 20 & 1) == 0))
        return false;
    if (shadow_stacks)
        internal::cet_control |= X86_S_CET_SHADOW_STACKS | X86_S_CET_SHADOW_WRITES;
    if (branch_tracking)
        internal::cet_control |= X86_S_CET_BRANCH_TRACKING | X86_S_CET_NO_TRACK; // jump tables
    return true;
}

} // namespace kernel

#endif
