// SPDX-License-Identifier: MIT
#include "nmisafe/setup/internal/machine.hpp"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/vectors.h"

namespace nmisafe::setup::internal {

namespace {

#ifdef __x86_64__
constexpr uint32_t gate_size = sizeof(x86::gate_64);
constexpr uint64_t code_width = uint64_t{2} << 52; // L, and not D
#else
constexpr uint32_t gate_size = sizeof(x86::gate_32);
constexpr uint64_t code_width = uint64_t{4} << 52; // D
#endif
constexpr uint64_t width_bits = uint64_t{6} << 52;

// [intel/vol3 3.4.5, 3.5, 6.11, 6.14.1]
constexpr uint64_t present = uint64_t{1} << 47;
constexpr uint64_t ring = uint64_t{3} << 45;
constexpr uint64_t type_bits = uint64_t{0x1f} << 40;
constexpr uint64_t interrupt_gate = uint64_t{0x0e} << 40;
constexpr uint64_t code_bits = uint64_t{0x18} << 40;
constexpr uint64_t tss_bits = uint64_t{0x1d} << 40; // busy or not
constexpr uint64_t tss_type = uint64_t{0x09} << 40;

constexpr uint8_t required[] = {X86_VECTOR_NMI, X86_VECTOR_DB, X86_VECTOR_BP,
                                X86_VECTOR_DF,  X86_VECTOR_PF, X86_VECTOR_MC};

struct gate {
    uint64_t low;
    uint64_t high;

    bool is_present() const { return (low & present) != 0; }
    uint16_t selector() const { return static_cast<uint16_t>(low >> 16); }
    uint32_t stack() const { return static_cast<uint32_t>(low >> 32) & 7; }
    uintptr_t target() const {
        return static_cast<uintptr_t>((low & 0xffff) | (low >> 48 << 16) | high << 32);
    }
};

gate gate_of(const machine& from, uint32_t vector) {
    const uint64_t* const at = from.interrupts.entries + vector * (gate_size / 8);
#ifdef __x86_64__
    return {at[0], at[1]};
#else
    return {at[0], 0};
#endif
}

bool is_there(const machine& from, uint32_t vector) {
    return from.interrupts.has(vector * gate_size, gate_size);
}

bool is_ring_0_code(const machine& from, uint16_t selector) {
    const uint32_t offset = selector & ~7U;
    if (offset == 0 || (selector & 7) != 0 || !from.segments.has(offset, 8))
        return false;
    const uint64_t entry = from.segments.entries[offset / 8];
    return (entry & (present | ring | code_bits | width_bits)) ==
           (present | code_bits | code_width);
}

/// The address of a TSS that a selector names; 0 if it names none.
uintptr_t task_of(const machine& from, uint16_t selector, uint32_t smallest) {
    const uint32_t offset = selector & ~7U;
    if (offset == 0 || !from.segments.has(offset, gate_size))
        return 0;
    const uint64_t* const entry = from.segments.entries + offset / 8;
    const auto limit = static_cast<uint32_t>((entry[0] & 0xffff) | (entry[0] >> 32 & 0xf0000));
    if ((entry[0] & (present | tss_bits)) != (present | tss_type) || limit < smallest - 1)
        return 0;
#ifdef __x86_64__
    return x86::system_base(entry[0], entry[1]);
#else
    return static_cast<uintptr_t>(x86::system_base(entry[0], 0));
#endif
}

fault judge_target(const machine& from, uint8_t vector, uintptr_t target) {
    if (target == from.entry_address(vector))
        return fault::none;
    for (uint32_t other = 0; other < X86_VECTORS; ++other)
        if (target == from.entry_address(static_cast<uint8_t>(other)))
            return fault::gate_other;
    // The module user's entries lie in the section too.
    return target >= from.trap_text && target < from.trap_text_end ? fault::none
                                                                   : fault::gate_target;
}

finding judge_gate(const machine& from, uint8_t vector, bool is_own) {
    if (!is_there(from, vector))
        return {fault::table_short, vector, from.interrupts.limit};
    const gate found = gate_of(from, vector);
    if (!found.is_present())
        return {fault::gate_absent, vector, 0};
    if (is_own)
        return {};
    if (vector != X86_VECTOR_BP && (found.low & ring) != 0)
        return {fault::gate_ring, vector, static_cast<uintptr_t>((found.low & ring) >> 45)};
#ifdef __i386__
    if (vector == X86_VECTOR_DF) {
        constexpr uint64_t task_gate = uint64_t{0x05} << 40;
        const bool is_task = (found.low & type_bits) == task_gate;
        const uintptr_t task = task_of(from, found.selector(), sizeof(x86::tss_32));
        if (!is_task || task == 0 || (found.selector() ^ from.task_selector) < 8)
            return {fault::double_fault_task, vector, found.selector()};
        return {};
    }
#endif
    if ((found.low & type_bits) != interrupt_gate)
        return {fault::gate_kind, vector, static_cast<uintptr_t>((found.low & type_bits) >> 40)};
    if (!is_ring_0_code(from, found.selector()))
        return {fault::gate_segment, vector, found.selector()};
    return {judge_target(from, vector, found.target()), vector, found.target()};
}

#ifdef __x86_64__

constexpr uint8_t own_stacks[] = {X86_VECTOR_NMI, X86_VECTOR_DB, X86_VECTOR_DF, X86_VECTOR_MC};

bool is_among(uint8_t vector, const uint8_t (&list)[4]) {
    for (const uint8_t one : list)
        if (one == vector)
            return true;
    return false;
}

bool is_good_stack(uintptr_t top) {
    const auto sign = static_cast<int64_t>(top) >> 47;
    return top != 0 && top % 16 == 0 && (sign == 0 || sign == -1);
}

/// What each vector's gate says of stacks, and what the TSS then has.
finding judge_stacks(const machine& from, const x86::tss_64& task) {
    uint8_t taken_by[8] = {};
    for (const uint8_t vector : own_stacks) {
        const uint32_t number = gate_of(from, vector).stack();
        if (number == 0)
            return {fault::stack_missing, vector, 0};
        if (vector == X86_VECTOR_NMI && number != trap::nmi_ist)
            return {fault::stack_number, vector, number};
        if (taken_by[number] != 0)
            return {fault::stack_shared, vector, number};
        taken_by[number] = vector;
        const uint64_t top = task.ist[number - 1];
        if (!is_good_stack(top))
            return {fault::stack_bad, vector, top};
    }
    for (uint32_t number = 1; number < 8; ++number)
        for (uint32_t other = 1; other < 8; ++other) {
            const uint64_t above = task.ist[number - 1] - task.ist[other - 1];
            const bool both = taken_by[number] != 0 && taken_by[other] != 0 && number != other;
            if (both && above < trap::smallest_stack)
                return {fault::stack_close, taken_by[number], task.ist[number - 1]};
        }
    for (uint32_t vector = 0; vector < X86_VECTORS && is_there(from, vector); ++vector) {
        const gate found = gate_of(from, vector);
        const auto number = static_cast<uint8_t>(vector);
        if (found.is_present() && found.stack() != 0 && !is_among(number, own_stacks))
            return {fault::stack_unwanted, number, found.stack()};
    }
    return {};
}

finding judge_cpu(const machine& from, uintptr_t task_address) {
    const auto& task = *reinterpret_cast<const x86::tss_64*>(task_address);
    if (const finding found = judge_stacks(from, task); found.what != fault::none)
        return found;
    const uint64_t top = task.ist[trap::nmi_ist - 1];
    if (top + NMI_BLOCK_TSS != task_address)
        return {fault::nmi_block, X86_VECTOR_NMI, top};
    const auto& block = *reinterpret_cast<const trap::nmi_block*>(top);
    if (block.gs_base != from.gs)
        return {fault::gs_base, X86_VECTOR_NMI, from.gs};
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    if (block.kernel_tables == 0)
        return {fault::nmi_tables, X86_VECTOR_NMI, 0};
#endif
    if (block.has_fsgsbase != 0 && (from.cr4 & X86_CR4_FSGSBASE) == 0)
        return {fault::fsgsbase, X86_VECTOR_NMI, from.cr4};
    return {};
}

#else

finding judge_cpu(const machine& from, uintptr_t) {
    if (from.gs != from.expected_gs)
        return {fault::gs_base, X86_VECTOR_NMI, from.gs};
    return {};
}

#endif

} // namespace

finding judge(const machine& from, uint32_t own) {
    // What DR7 has besides: bits that are fixed, and GD.
    constexpr uintptr_t controls = 0xffff03ff;
    constexpr uintptr_t general_detect = 1 << 13;
    if (!from.has_trap_text || from.trap_text >= from.trap_text_end)
        return {fault::section_missing, 0, from.trap_text};
#ifdef __x86_64__
    constexpr uintptr_t cr4_fred = uintptr_t{1} << 32;
    if ((from.cr4 & cr4_fred) != 0)
        return {fault::fred, 0, from.cr4};
#endif
    for (const uint8_t vector : required) {
        const bool is_own = vector != X86_VECTOR_NMI && (own >> vector & 1) != 0;
        if (const finding found = judge_gate(from, vector, is_own); found.what != fault::none)
            return found;
    }
    const uintptr_t task = task_of(from, from.task_selector, sizeof(x86::tss_32));
    if (task == 0)
        return {fault::task_missing, 0, from.task_selector};
    if (const finding found = judge_cpu(from, task); found.what != fault::none)
        return found;
#ifndef NMISAFE_SHADOW_STACK
    if (from.has_shadow_stack)
        return {fault::shadow_stack, 0, from.cr4};
#endif
    if ((from.dr7 & general_detect) != 0)
        return {fault::debug_guard, 0, from.dr7};
    if (((from.dr7 ^ from.debug_control) & controls) != 0)
        return {fault::debug_control, 0, from.dr7};
    if (!from.has_nmi_handler)
        return {fault::nmi_handler, X86_VECTOR_NMI, 0};
    if (!from.has_page_fault_handler && (own >> X86_VECTOR_PF & 1) == 0)
        return {fault::page_fault_handler, X86_VECTOR_PF, 0};
    return {};
}

} // namespace nmisafe::setup::internal
