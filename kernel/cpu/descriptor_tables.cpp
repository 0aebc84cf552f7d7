// SPDX-License-Identifier: MIT
// What both widths share; the other half is descriptor_tables_x86_*.cpp.
#include "kernel/cpu/descriptor_tables.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/common/join_text.hpp"
#include "kernel/cpu/vectors.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/user/user.hpp"

namespace kernel {

using namespace nmisafe;

namespace internal {
void set_gate(uint8_t vector, interrupt_stack stack);
void set_gate(uint8_t vector, interrupt_stack stack, uintptr_t entry, bool from_user);
void prepare_task(cpu& owner);
void load_segments_and_task(cpu& mine);
} // namespace internal

void prepare_descriptor_tables(cpu& owner) {
    constexpr auto flat = [](x86::segment_type type, x86::segment_width width) {
        return x86::make_segment(0, x86::flat_limit, type, width);
    };
#ifdef __x86_64__
    constexpr auto code_width = x86::segment_width::bits_64;
#else
    constexpr auto code_width = x86::segment_width::bits_32;
#endif
    owner.gdt[code_selector / 8] = flat(x86::segment_type::code, code_width);
    owner.gdt[alias_code_selector / 8] = flat(x86::segment_type::code, code_width);
    owner.gdt[data_selector / 8] = flat(x86::segment_type::data, x86::segment_width::bits_32);
    owner.gdt[spare_data_selector / 8] = flat(x86::segment_type::data, x86::segment_width::bits_32);
    owner.gdt[KERNEL_USER_CODE_SELECTOR / 8] = flat(x86::segment_type::user_code, code_width);
    owner.gdt[KERNEL_USER_DATA_SELECTOR / 8] =
        flat(x86::segment_type::user_data, x86::segment_width::bits_32);
    owner.gdt[KERNEL_USER_STACK_16_SELECTOR / 8] =
        flat(x86::segment_type::user_data, x86::segment_width::bits_16);
    internal::prepare_task(owner);
}

[[KERNEL_JOIN_TEXT]] void load_descriptor_tables(cpu& mine) {
    internal::load_segments_and_task(mine);
    x86::load_idt(internal::interrupt_table_register());
}

void set_up_interrupt_table() {
    for (unsigned vector = 0; vector < X86_VECTORS; ++vector)
        internal::set_gate(static_cast<uint8_t>(vector), interrupt_stack::none);
}

namespace {

interrupt_stack stack_of(unsigned vector) {
    switch (vector) {
    case X86_VECTOR_NMI:
        return interrupt_stack::nmi;
    case X86_VECTOR_DF:
        return interrupt_stack::double_fault;
    case X86_VECTOR_MC:
        return interrupt_stack::machine_check;
    case X86_VECTOR_DB:
        return interrupt_stack::debug;
    default:
        return interrupt_stack::none;
    }
}

} // namespace

void open_all_gates(bool open) {
    for (unsigned number = 0; number < X86_VECTORS; ++number) {
        const auto vector_8 = static_cast<uint8_t>(number);
        const bool is_for_user =
            number == X86_VECTOR_BP || number == static_cast<unsigned>(vector::system_call);
        constexpr uintptr_t endbr_length = 4;
        const bool behind = number == X86_VECTOR_BP && is_removed(defence::endbr);
        internal::set_gate(vector_8, stack_of(number),
                           user::entry_address(vector_8) + (behind ? endbr_length : 0),
                           open || is_for_user);
    }
}

void use_user_entries() {
    open_all_gates(false);
}

void use_interrupt_stacks(bool breakpoint_on_nmi_stack) {
    for (unsigned number = 0; number < X86_VECTORS; ++number)
        if (stack_of(number) != interrupt_stack::none)
            internal::set_gate(static_cast<uint8_t>(number), stack_of(number));
    if (is_removed(defence::endbr))
        internal::set_gate(X86_VECTOR_BP, interrupt_stack::none);
    if (breakpoint_on_nmi_stack)
        internal::set_gate(X86_VECTOR_BP, interrupt_stack::nmi);
}

} // namespace kernel
