// SPDX-License-Identifier: MIT
// The code windows of the experiments: labels and layouts shared by windows_x86_*.S and C++.
#ifndef KERNEL_EXPERIMENTS_SHARED_WINDOWS_H
#define KERNEL_EXPERIMENTS_SHARED_WINDOWS_H

#define WINDOW_SLED 32 // NOPs in front of a window
#define WINDOW_BODY 24 // NOPs in a window that has no instruction of its own

#define WINDOW_INTERRUPT 0xe2 // the vector of round_trip_interrupt(), one of the kernel's own

#ifdef __x86_64__
#define IMAGE_AX 0
#define IMAGE_CX 8
#define IMAGE_DX 16
#define IMAGE_BX 24
#define IMAGE_BP 32
#define IMAGE_SI 40
#define IMAGE_DI 48
#define IMAGE_R8 56
#define IMAGE_SP 120
#define IMAGE_FLAGS 128
#else
#define IMAGE_AX 0
#define IMAGE_CX 4
#define IMAGE_DX 8
#define IMAGE_BX 12
#define IMAGE_BP 16
#define IMAGE_SI 20
#define IMAGE_DI 24
#define IMAGE_SP 28
#define IMAGE_FLAGS 32
#endif

#ifndef __ASSEMBLER__

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace kernel {

/// Every register that a trap must leave as it was.
struct register_image {
    uintptr_t ax, cx, dx, bx, bp, si, di;
#ifdef __x86_64__
    uintptr_t high[8]; // r8 .. r15
#endif
    uintptr_t sp, flags;
};
static_assert(offsetof(register_image, di) == IMAGE_DI && offsetof(register_image, sp) == IMAGE_SP);
static_assert(offsetof(register_image, flags) == IMAGE_FLAGS);

} // namespace kernel

extern "C" {

[[NMISAFE_ASSEMBLY_CALL]] void window_breakpoint();
[[NMISAFE_ASSEMBLY_CALL]] void window_page_fault(void* page);
[[NMISAFE_ASSEMBLY_CALL]] void window_nmi_breakpoint(volatile uint32_t* command_register,
                                                     uint32_t command);
[[NMISAFE_ASSEMBLY_CALL]] void window_nmi_page_fault(volatile uint32_t* command_register,
                                                     uint32_t command);
[[NMISAFE_ASSEMBLY_CALL]] void window_nmi_vmalloc(volatile uint32_t* command_register,
                                                  uint32_t command);
[[NMISAFE_ASSEMBLY_CALL]] void window_nmi_nothing(volatile uint32_t* command_register,
                                                  uint32_t command);
[[NMISAFE_ASSEMBLY_CALL]] void window_nmi_debug(volatile uint32_t* command_register,
                                                uint32_t command);
[[NMISAFE_ASSEMBLY_CALL]] void window_nmi_machine_check(volatile uint32_t* command_register,
                                                        uint32_t command);
[[NMISAFE_ASSEMBLY_CALL]] void window_nothing(uintptr_t count);
extern const char window_breakpoint_begin[], window_breakpoint_end[];
[[NMISAFE_ASSEMBLY_CALL]] void window_breakpoint_if();
extern const char window_breakpoint_if_begin[], window_breakpoint_if_end[];
[[NMISAFE_ASSEMBLY_CALL]] void debug_trap();
extern const char debug_trap_end[];
[[NMISAFE_ASSEMBLY_CALL]] void raise_vector(uintptr_t vector);
extern const char window_page_fault_begin[], window_page_fault_end[];
extern const char window_nmi_breakpoint_begin[], window_nmi_breakpoint_end[];
extern const char window_nmi_page_fault_begin[], window_nmi_page_fault_end[];
extern const char window_nmi_vmalloc_begin[], window_nmi_vmalloc_end[];
extern const char window_nmi_nothing_end[];
extern const char window_nmi_debug_begin[], window_nmi_debug_end[];
extern const char window_nmi_machine_check_begin[], window_nmi_machine_check_end[];
extern const char window_nothing_begin[], window_nothing_end[];

extern kernel::register_image round_trip_in, round_trip_out;
extern uintptr_t round_trip_pad, round_trip_saved_sp;
[[NMISAFE_ASSEMBLY_CALL]] void round_trip_breakpoint();
[[NMISAFE_ASSEMBLY_CALL]] void round_trip_page_fault();
[[NMISAFE_ASSEMBLY_CALL]] void round_trip_interrupt();
extern const char round_trip_breakpoint_begin[], round_trip_breakpoint_end[];
extern const char round_trip_page_fault_begin[], round_trip_page_fault_end[];

void empty_nmi_handler(nmisafe::x86::trap_frame&);
bool empty_breakpoint_handler(nmisafe::x86::trap_frame&);
extern const char nmisafe_trap_return[];

extern uintptr_t home_code_selector;
[[NMISAFE_ASSEMBLY_CALL]] uintptr_t in_other_segment(uintptr_t selector);
[[NMISAFE_ASSEMBLY_CALL]] uintptr_t step_once();
extern const char step_once_first_done[];
[[NMISAFE_ASSEMBLY_CALL]] uintptr_t with_foreign_gs(uintptr_t gs);
extern const char with_foreign_gs_begin[], with_foreign_gs_end[];
}

#endif // __ASSEMBLER__
#endif
