// SPDX-License-Identifier: MIT
#include "nmisafe/trap/nmi_boundary.hpp"

#ifdef __x86_64__

#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/x86/flags.h"

// In nmi_x86_64.S.
extern "C" const char nmisafe_trap_nmi_lowered[], nmisafe_trap_nmi_outer[], nmisafe_trap_nmi_exit[],
    nmisafe_trap_nmi_window[], nmisafe_trap_nmi_iret[], nmisafe_trap_nmi_nested[],
    nmisafe_trap_nmi_level_1[], nmisafe_trap_nmi_level_2[];

namespace nmisafe::trap {

namespace {

constexpr uintptr_t hardware_frame = sizeof(x86::trap_frame) - offsetof(x86::trap_frame, ip);

[[NMISAFE_TRAP_INLINE]] inline uintptr_t address(const char* label) {
    return reinterpret_cast<uintptr_t>(label);
}

/// The instructions before which a level may not have lowered the IST entry: RSP is then where the
/// CPU has left it.
[[NMISAFE_TRAP_INLINE]] inline bool is_in_entry(uintptr_t ip) {
    return ip < address(nmisafe_trap_nmi_outer) ||
           (ip >= address(nmisafe_trap_nmi_nested) && ip < address(nmisafe_trap_nmi_level_2));
}

/// From behind the test of `pending` to the last IRET.
[[NMISAFE_TRAP_INLINE]] inline bool is_in_exit(uintptr_t ip) {
    return ip >= address(nmisafe_trap_nmi_window) && ip <= address(nmisafe_trap_nmi_iret);
}

/// This CPU's: its TSS lies in it.
[[NMISAFE_TRAP_INLINE]] inline nmi_block& this_nmi_block() {
    return *reinterpret_cast<nmi_block*>(x86::read_tss_base() - offsetof(nmi_block, tss));
}

[[NMISAFE_TRAP_INLINE]] inline uint32_t level_of(uintptr_t head) {
    return *reinterpret_cast<const volatile uint32_t*>(head + NMI_BLOCK_LEVEL);
}

/// Makes the IST entry what it is while an NMI of that level is in progress.
[[NMISAFE_TRAP_INLINE]] inline void lower(nmi_block& block, uint32_t level) {
    block.tss.ist[nmi_ist - 1] = reinterpret_cast<uintptr_t>(&block) - (level + 1) * NMI_STRIDE;
}

} // namespace

[[NMISAFE_TRAP_TEXT]] nmi_boundary internal::hold_nmi_boundary(const x86::trap_frame& frame) {
    if ((frame.cs & X86_RPL_MASK) != 0 || !defended(NMISAFE_WITHOUT_BOUNDARY) ||
        !defended(NMISAFE_WITHOUT_LATCH))
        return nmi_boundary::none; // user mode's addresses say nothing
    if (is_in_entry(frame.ip))
        return hold_nmi_entry(frame);
    return is_in_exit(frame.ip) ? hold_nmi_exit() : nmi_boundary::none;
}

nmi_boundary internal::hold_nmi_entry(const x86::trap_frame& frame) {
    nmi_block& block = this_nmi_block();
    const uint32_t level = level_of(frame.sp + hardware_frame);
    if (level > 2) // which stops the machine
        return nmi_boundary::none;
    lower(block, level);
#ifdef NMISAFE_SHADOW_STACK
    if (defended(NMISAFE_WITHOUT_SHADOW_LATCH))
        block.ssp_table[nmi_ist] = block.shadow_stack + (level + 1) * nmi_shadow_stride;
#endif
    return nmi_boundary::entry;
}

/// Not inlined: tests/image counts the instructions up to here.
[[gnu::noinline]] nmi_boundary internal::hold_nmi_exit() {
    // The shadow stack that the IRET needs is written again where one is remembered: the redo does
    // it.
    lower(this_nmi_block(), 0);
    return nmi_boundary::exit;
}

bool internal::is_nmi_stack_in_use() {
    const nmi_block& block = this_nmi_block();
    return block.tss.ist[nmi_ist - 1] != reinterpret_cast<uintptr_t>(&block);
}

[[NMISAFE_TRAP_TEXT]] void internal::leave_nmi_boundary(x86::trap_frame& frame,
                                                        nmi_boundary boundary) {
    if (boundary == nmi_boundary::exit) {
        frame.ip = address(nmisafe_trap_nmi_exit);
        frame.sp = reinterpret_cast<uintptr_t>(&this_nmi_block()) - NMI_NESTED_SIZE;
        frame.flags &= ~uintptr_t{X86_FLAGS_TF};
        return;
    }
    leave_nmi_entry(frame, address(nmisafe_trap_nmi_lowered));
}

void internal::leave_nmi_entry(x86::trap_frame& frame, uintptr_t lowered) {
    const uint32_t level = level_of(frame.sp + hardware_frame);
    frame.ip = level == 0
                   ? lowered
                   : address(level == 1 ? nmisafe_trap_nmi_level_1 : nmisafe_trap_nmi_level_2);
}

} // namespace nmisafe::trap

#endif
