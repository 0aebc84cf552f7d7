// SPDX-License-Identifier: MIT
#include "nmisafe/trap/nmi_debug.hpp"

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/breakpoints.hpp"
#include "nmisafe/trap/controls.h"
#include "nmisafe/trap/handlers.hpp"
#include "nmisafe/x86/registers.hpp"

namespace nmisafe::trap {

using platform::contract;

namespace internal {
nmi_handler debugged_handler;
}

namespace {

#ifdef __x86_64__
/// Where the next #DB begins. One store each: a #DB finds the one stack or the other.
[[NMISAFE_TRAP_INLINE]] inline void choose_debug_stack(const platform::cpu_state& cpu,
                                                       bool in_nmi) {
    const auto& stacks = cpu.debug_stacks;
    if (stacks.entry == nullptr || !defended(NMISAFE_WITHOUT_DEBUG_STACK))
        return;
    __atomic_store_n(stacks.entry, in_nmi ? stacks.in_nmi : stacks.outside, __ATOMIC_RELAXED);
#ifdef NMISAFE_SHADOW_STACK
    __atomic_store_n(stacks.shadow_entry, in_nmi ? stacks.shadow_in_nmi : stacks.shadow_outside,
                     __ATOMIC_RELAXED);
#endif
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
#endif

[[NMISAFE_TRAP_INLINE]] inline void set_handler_debugged(platform::cpu_state& cpu, uint32_t value) {
    __atomic_store_n(&cpu.nmi_handler_debugged, value, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/// Called in place of the handler. No #DB can come before the stack is another one, nor after it is
/// the old one again: TF is clear and all breakpoints are off. @context nmi
[[NMISAFE_TRAP_TEXT]] void run_debugged(x86::trap_frame& frame) {
    auto& cpu = contract::this_cpu();
    // The #DB that was interrupted may not have read its own yet.
    const uintptr_t status = x86::read_dr6();
    x86::write_dr6(X86_DR6_CLEAR);
#ifdef __x86_64__
    choose_debug_stack(cpu, true);
#endif
    set_handler_debugged(cpu, 1);
    if ((cpu.nmi_debug_control & X86_DR7_ENABLE_ALL) != 0)
        load_debug_control(cpu);

    const nmi_handler function = internal::debugged_handler;
    if (function == nullptr) [[unlikely]]
        contract::panic({.what = "unexpected NMI", .frame = &frame, .value = 0});
    function(frame);

    // Of a step the POPF here is the last instruction.
    if (defended(NMISAFE_WITHOUT_STEP_END))
        x86::write_flags(x86::read_flags() & ~uintptr_t{X86_FLAGS_TF});
    // In this order: an #MC in between must not load DR7 again.
    set_handler_debugged(cpu, 0);
    static_cast<void>(disarm_breakpoints());
#ifdef __x86_64__
    choose_debug_stack(cpu, false);
#endif
    x86::write_dr6(status);
}

} // namespace

void set_nmi_handler(nmi_handler function) {
    const bool debugged = internal::on_nmi == run_debugged;
    __atomic_store_n(debugged ? &internal::debugged_handler : &internal::on_nmi, function,
                     __ATOMIC_RELEASE);
}

#ifdef __x86_64__
void set_up_nmi_debugging(nmi_block& block, uint8_t debug_ist, uintptr_t stack_top,
                          [[maybe_unused]] uintptr_t shadow_token) {
    constexpr uintptr_t first_entry = NMI_BLOCK_IST - 8 * (nmi_ist - 1);
    const auto address = reinterpret_cast<uintptr_t>(&block);
    auto& stacks = contract::this_cpu().debug_stacks;
    auto* const entry = reinterpret_cast<uint64_t*>(address + first_entry + 8 * (debug_ist - 1U));
    stacks.outside = *entry;
    stacks.in_nmi = stack_top;
#ifdef NMISAFE_SHADOW_STACK
    stacks.shadow_entry = &block.ssp_table[debug_ist];
    stacks.shadow_outside = *stacks.shadow_entry;
    stacks.shadow_in_nmi = shadow_token;
#endif
    __atomic_store_n(&stacks.entry, entry, __ATOMIC_RELEASE);
#else
void set_up_nmi_debugging() {
#endif
    if (internal::on_nmi == run_debugged)
        return;
    __atomic_store_n(&internal::debugged_handler, internal::on_nmi, __ATOMIC_RELEASE);
    __atomic_store_n(&internal::on_nmi, &run_debugged, __ATOMIC_RELEASE);
}

void set_nmi_debug_control(uintptr_t value) {
    auto& cpu = contract::this_cpu();
    __atomic_store_n(&cpu.nmi_debug_control, value, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    // Elsewhere the next handler loads it, or the #DB or #MC in this one when it returns.
    if (cpu.nmi_handler_debugged != 0 && cpu.nmi_like_in_progress == 0)
        load_debug_control(cpu);
}

void internal::forget_nmi_debugging() {
    auto& cpu = contract::this_cpu();
    if (cpu.nmi_handler_debugged == 0)
        return;
    set_handler_debugged(cpu, 0);
    static_cast<void>(disarm_breakpoints());
#ifdef __x86_64__
    choose_debug_stack(cpu, false);
#endif
}

} // namespace nmisafe::trap
