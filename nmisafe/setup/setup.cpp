// SPDX-License-Identifier: MIT
#include "nmisafe/setup/setup.hpp"

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/setup/internal/machine.hpp"
#include "nmisafe/trap/handlers.hpp"
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/registers.hpp"

extern "C" const char __start_nmisafe_trap_text[], __stop_nmisafe_trap_text[];
#ifdef __i386__
extern "C" uint16_t nmisafe_trap_percpu_selector; // nmi.cpp
#endif

namespace nmisafe::setup {

namespace {

constexpr uint32_t magic = 0x7a6c5e4d;

/// Looked for by its code: the section's addresses are there also where its content is not.
[[NMISAFE_TRAP_TEXT, gnu::noinline, gnu::used]] uint32_t something_of_the_section() {
    return magic;
}

bool has_trap_text() {
    const volatile uint8_t* const code =
        reinterpret_cast<const volatile uint8_t*>(something_of_the_section);
    constexpr unsigned longest_prologue = 28;
    for (unsigned at = 0; at < longest_prologue; ++at) {
        uint32_t found = 0;
        for (unsigned byte = 0; byte < sizeof found; ++byte)
            found |= uint32_t{code[at + byte]} << 8 * byte;
        if (found == magic)
            return true;
    }
    return false;
}

internal::table table_of(const x86::table_register& from) {
    return {reinterpret_cast<const uint64_t*>(from.base), from.limit};
}

} // namespace

const char* describe(fault what) {
    switch (what) {
    case fault::none:
        return "all is set up";
    case fault::section_missing:
        return "the section nmisafe_trap_text is not there: keep it in the linker script, in "
               "objcopy and when loading";
    case fault::table_short:
        return "the IDT has no gate for this vector";
    case fault::gate_absent:
        return "this vector's gate is not present";
    case fault::gate_kind:
        return "this vector's gate is no interrupt gate: make it one, so that interrupts are off "
               "until CR2 is read";
    case fault::gate_segment:
        return "this vector's gate names no ring-0 code segment of this width";
    case fault::gate_ring:
        return "ring 3 may execute INT n through this vector's gate: make its DPL 0";
    case fault::gate_target:
        return "this vector's gate does not lead to the library: trap::entry_address(vector)";
    case fault::gate_other:
        return "this vector's gate leads to the entry of another vector";
    case fault::stack_missing:
        return "this vector's gate names no IST entry: NMI, #DB, #DF and #MC each need one";
    case fault::stack_number:
        return "the NMI's gate names another IST entry than NMISAFE_TRAP_NMI_IST";
    case fault::stack_shared:
        return "this vector's IST entry is another one's too: give each its own";
    case fault::stack_unwanted:
        return "this vector's gate names an IST entry: what nests would begin that stack again";
    case fault::stack_bad:
        return "this vector's IST entry is 0, not canonical or not a multiple of 16";
    case fault::stack_close:
        return "this vector's IST stack is smaller than trap::smallest_stack: another one's top "
               "lies in it";
    case fault::task_missing:
        return "TR names no whole TSS: load it with LTR on this CPU";
    case fault::double_fault_task:
        return "the #DF's gate is no task gate with a TSS of its own";
    case fault::nmi_block:
        return "the TSS is not that of the NMI's nmi_block: set_up_nmi_block(), then TSS "
               "descriptor and LTR";
    case fault::nmi_tables:
        return "nmi_block::kernel_tables is 0: give it page tables with all of the kernel";
    case fault::gs_base:
        return "GS is not what the NMI will load: set_up_nmi_block()'s gs_base, "
               "set_percpu_selector() on x86-32";
    case fault::fsgsbase:
        return "nmi_block::has_fsgsbase is 1, but CR4.FSGSBASE is off on this CPU";
    case fault::fred:
        return "CR4.FRED is on: events do not come by the IDT";
    case fault::shadow_stack:
        return "supervisor shadow stacks are on: build the library with NMISAFE_SHADOW_STACK";
    case fault::debug_guard:
        return "DR7.GD is on: the library writes DR7 in each NMI";
    case fault::debug_control:
        return "DR7 is not what trap::set_debug_control() was told: write it by that alone";
    case fault::nmi_handler:
        return "no trap::set_nmi_handler()";
    case fault::page_fault_handler:
        return "no trap::set_page_fault_handler()";
    }
    return "unknown";
}

finding check_setup(uint32_t own) {
    x86::table_register interrupts;
    x86::table_register segments;
    internal::machine here;
    asm volatile("sidt %[table]" : [table] "=m"(interrupts));
    asm volatile("sgdt %[table]" : [table] "=m"(segments));
    asm volatile("str %[selector]" : [selector] "=r"(here.task_selector));
    here.interrupts = table_of(interrupts);
    here.segments = table_of(segments);
    here.cr4 = x86::read_cr4();
    here.dr7 = x86::read_dr7();
    here.debug_control = platform::contract::this_cpu().debug_control;
    if ((here.cr4 & X86_CR4_CET) != 0)
        here.has_shadow_stack = (x86::read_msr(X86_MSR_S_CET) & X86_S_CET_SHADOW_STACKS) != 0;
    here.trap_text = reinterpret_cast<uintptr_t>(__start_nmisafe_trap_text);
    here.trap_text_end = reinterpret_cast<uintptr_t>(__stop_nmisafe_trap_text);
    here.has_trap_text = has_trap_text();
    here.entry_address = trap::entry_address;
#ifdef __x86_64__
    here.gs = static_cast<uintptr_t>(x86::read_msr(X86_MSR_GS_BASE));
#else
    asm volatile("mov %%gs, %[selector]" : [selector] "=r"(here.gs));
    here.expected_gs = nmisafe_trap_percpu_selector;
#endif
    here.has_nmi_handler = trap::internal::on_nmi != nullptr;
    here.has_page_fault_handler = trap::internal::on_page_fault != nullptr;
    return internal::judge(here, own);
}

} // namespace nmisafe::setup
