// SPDX-License-Identifier: MIT
// Whether a CPU is set up as the library needs it: the mistakes that otherwise show as a triple fault in the first
// NMI, found at boot and named in one line. README.md says what is looked at, and what no check can see.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::setup {

enum class fault : uint8_t {
    none,
    section_missing, ///< nmisafe_trap_text has no code: dropped by the linker, by objcopy or by the boot loader.
    table_short, ///< The IDT ends before this vector.
    gate_absent,
    gate_kind,      ///< No interrupt gate of this width: interrupts would be on before CR2 is read.
    gate_segment,   ///< Its selector names no ring-0 code segment of this width.
    gate_ring,      ///< Ring 3 may execute INT n through it.
    gate_target,    ///< It leads elsewhere than to the library's entry.
    gate_other,     ///< It leads to the entry of another vector.
    stack_missing,  ///< x86-64: NMI, #DB, #DF or #MC without IST.
    stack_number,   ///< x86-64: the NMI's gate names another IST entry than NMISAFE_TRAP_NMI_IST.
    stack_shared,   ///< x86-64: another of the four has the same IST entry.
    stack_unwanted, ///< x86-64: another vector has an IST: what nests would begin the stack again.
    stack_bad,      ///< x86-64: the IST entry is 0, not canonical, or not a multiple of 16.
    stack_close,    ///< x86-64: another IST entry is less than trap::smallest_stack below it.
    task_missing,   ///< TR names no TSS that is as long as one has to be.
    double_fault_task, ///< x86-32: the #DF's gate is no task gate, or names no TSS of its own.
    nmi_block, ///< x86-64: the TSS is not that of the nmi_block to which the NMI's IST entry points.
    nmi_tables, ///< nmi_block::kernel_tables is 0 (NMISAFE_PAGE_TABLE_ISOLATION).
    gs_base,    ///< GS is not what the NMI's entry will load.
    fsgsbase,   ///< nmi_block::has_fsgsbase is 1 and CR4.FSGSBASE is 0: RDGSBASE would be a #UD.
    fred,       ///< CR4.FRED is on: the IDT is not used.
    shadow_stack, ///< Supervisor shadow stacks are on, in a library built without NMISAFE_SHADOW_STACK.
    debug_guard,        ///< DR7.GD is on.
    debug_control,      ///< DR7 was written otherwise than by trap::set_debug_control().
    nmi_handler,        ///< No trap::set_nmi_handler().
    page_fault_handler, ///< No trap::set_page_fault_handler().
};

struct finding {
    fault what = fault::none;
    uint8_t vector = 0;  ///< Of what concerns a gate or its stack.
    uintptr_t value = 0; ///< What was found there.
};

/// In one line, what is wrong and what to do about it. @context any
const char* describe(fault what);

/// Looks at the CPU that runs this, as it is set up now, and reports the first fault; none if all is right. `own`: bit n says that
/// the gate of vector n (below 32) leads to the embedder's own entry, and only its stack is looked at. The NMI's must be
/// the library's.
/// @context thread, preemption off, once all is set up and before the first NMI source is started; reads IDT, GDT, TSS
/// and the NMI's stack, which must be mapped
finding check_setup(uint32_t own = 0);

} // namespace nmisafe::setup
