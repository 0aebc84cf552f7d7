// SPDX-License-Identifier: MIT
#include "nmisafe/trap/nmi_block.h"

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/breakpoints.hpp"
#include "nmisafe/trap/entry_calls.hpp"
#include "nmisafe/trap/nmi_boundary.hpp"
#include "nmisafe/trap/nmi_debug.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/local.hpp"
#include "nmisafe/x86/registers.hpp"

namespace nmisafe::trap {

#ifdef __x86_64__

void set_up_nmi_block(nmi_block& block, uintptr_t gs_base) {
    auto address = reinterpret_cast<uintptr_t>(&block);
    asm("" : "+r"(address)); // of a reference the compiler takes the type's alignment for granted
    constexpr uintptr_t page = 4096;
    if (address % alignof(nmi_block) != 0 || address % page > page - sizeof(nmi_block))
        platform::contract::panic(
            {.what = "an NMI block out of place", .frame = nullptr, .value = address});
    for (uint32_t level = 0; level <= 3; ++level) {
        const uintptr_t head = address - level * NMI_STRIDE;
        *reinterpret_cast<volatile uint32_t*>(head + NMI_BLOCK_LEVEL) = level;
    }
    block.pending = 0;
    block.gs_base = gs_base;
    block.has_foreign_gs = 0;
    block.has_fsgsbase = 0;
    block.other_exit.begin = 0;
    block.other_exit.end = 0;
    block.other_exit.redo = 0;
#ifdef NMISAFE_SHADOW_STACK
    block.shadow_stack = block.ssp_table[nmi_ist] = 0;
#endif
    block.tss.io_map_base = sizeof(block.tss);
    block.tss.ist[nmi_ist - 1] = address;
}

#ifdef NMISAFE_SHADOW_STACK
void set_up_nmi_shadow_stacks(nmi_block& block, uintptr_t token) {
    static_assert(nmi_shadow_stride % 32 == 0);
    if (!is_place_of_token(token))
        platform::contract::panic(
            {.what = "a shadow stack's token out of place", .frame = nullptr, .value = token});
    block.shadow_stack = block.ssp_table[nmi_ist] = token;
}
#endif

void abandon_nmi(nmi_block& block) {
    internal::forget_nmi_debugging();
    block.pending = 0;
    block.has_foreign_gs = 0;
    block.tss.ist[nmi_ist - 1] = reinterpret_cast<uintptr_t>(&block);
    // Of a #DB in it: the next one there would be taken for one that began its stack again.
    platform::contract::this_cpu().debug_frame = 0;
#ifdef NMISAFE_SHADOW_STACK
    block.ssp_table[nmi_ist] = block.shadow_stack;
#endif
}

#else

void abandon_nmi() {
    internal::forget_nmi_debugging();
    auto& cpu = platform::contract::this_cpu();
    cpu.nmi_pending = 0;
    cpu.nmi_latch = 0;
}

#endif

[[NMISAFE_TRAP_TEXT]] void abandon_nmi_like() {
    auto& cpu = platform::contract::this_cpu();
    // Not `nmi_in_progress` alone: the NMI is not counted yet in its entry, and no more in its exit.
#ifdef __x86_64__
    const bool in_nmi = internal::is_nmi_stack_in_use();
#else
    const bool in_nmi = cpu.nmi_latch != 0;
#endif
    if (in_nmi || cpu.nmi_in_progress != 0 || cpu.nmi_like_in_progress != 1)
        platform::contract::panic({.what = "abandon_nmi_like(): not in one #DB or #MC alone",
                                   .frame = nullptr,
                                   .value = cpu.nmi_like_in_progress});
        // As at the end of nmisafe_trap_handle_nmi_like().
#ifdef __x86_64__
    cpu.debug_frame = 0;
#endif
    x86::write_dr6(X86_DR6_CLEAR);
    if constexpr (context::count::nmi_can_nest)
        context::nmi_exit();
    x86::decrement(cpu.nmi_like_in_progress);
    rearm_breakpoints(cpu, true);
}

} // namespace nmisafe::trap
