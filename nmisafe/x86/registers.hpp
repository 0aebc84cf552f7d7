// SPDX-License-Identifier: MIT
// One function per instruction on control, debug and model-specific registers. All run in any
// context (@context any) at CPL 0, touch no memory and cannot fault unless said otherwise.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/x86/flags.h"

namespace nmisafe::x86 {

// "memory": an access that faults must not move across the read of its address.
[[NMISAFE_TRAP_INLINE]] inline uintptr_t read_cr2() {
    uintptr_t value;
    asm volatile("mov %%cr2, %[value]" : [value] "=r"(value) : : "memory");
    return value;
}

[[NMISAFE_TRAP_INLINE]] inline void write_cr2(uintptr_t value) {
    asm volatile("mov %[value], %%cr2" : : [value] "r"(value) : "memory");
}

[[NMISAFE_TRAP_INLINE]] inline uintptr_t read_cr3() {
    uintptr_t value;
    asm volatile("mov %%cr3, %[value]" : [value] "=r"(value) : : "memory");
    return value;
}

/// Loads another address space and flushes the TLB but for global pages.
[[NMISAFE_TRAP_INLINE]] inline void write_cr3(uintptr_t value) {
    asm volatile("mov %[value], %%cr3" : : [value] "r"(value) : "memory");
}

[[NMISAFE_TRAP_INLINE]] inline uintptr_t read_cr4() {
    uintptr_t value;
    asm volatile("mov %%cr4, %[value]" : [value] "=r"(value));
    return value;
}

[[NMISAFE_TRAP_INLINE]] inline void write_cr4(uintptr_t value) {
    asm volatile("mov %[value], %%cr4" : : [value] "r"(value) : "memory");
}

[[NMISAFE_TRAP_INLINE]] inline uintptr_t read_dr6() {
    uintptr_t value;
    asm volatile("mov %%dr6, %[value]" : [value] "=r"(value));
    return value;
}

[[NMISAFE_TRAP_INLINE]] inline void write_dr6(uintptr_t value) {
    asm volatile("mov %[value], %%dr6" : : [value] "r"(value));
}

/// "memory": code must not move across the arming of a breakpoint.
[[NMISAFE_TRAP_INLINE]] inline uintptr_t read_dr7() {
    uintptr_t value;
    asm volatile("mov %%dr7, %[value]" : [value] "=r"(value) : : "memory");
    return value;
}

/// Raw: the shadow that decides about RF is kept by trap::set_debug_control().
[[NMISAFE_TRAP_INLINE]] inline void write_dr7(uintptr_t value) {
    asm volatile("mov %[value], %%dr7" : : [value] "r"(value) : "memory");
}

/// The address in DR0 to DR3; `number` is below 4.
[[NMISAFE_TRAP_INLINE]] inline uintptr_t read_breakpoint_address(unsigned number) {
    uintptr_t value = 0;
    if (number == 0)
        asm volatile("mov %%dr0, %[value]" : [value] "=r"(value));
    else if (number == 1)
        asm volatile("mov %%dr1, %[value]" : [value] "=r"(value));
    else if (number == 2)
        asm volatile("mov %%dr2, %[value]" : [value] "=r"(value));
    else
        asm volatile("mov %%dr3, %[value]" : [value] "=r"(value));
    return value;
}

/// As above. DR7 arms it.
[[NMISAFE_TRAP_INLINE]] inline void write_breakpoint_address(unsigned number, uintptr_t value) {
    if (number == 0)
        asm volatile("mov %[value], %%dr0" : : [value] "r"(value));
    else if (number == 1)
        asm volatile("mov %[value], %%dr1" : : [value] "r"(value));
    else if (number == 2)
        asm volatile("mov %[value], %%dr2" : : [value] "r"(value));
    else
        asm volatile("mov %[value], %%dr3" : : [value] "r"(value));
}

/// The shadow stack pointer; 0 where there is no shadow stack. [intel/vol2 RDSSP]
[[NMISAFE_TRAP_INLINE]] inline uintptr_t read_ssp() {
    uintptr_t value = 0;
    asm volatile(
#ifdef __x86_64__
        "rdsspq %[value]"
#else
        "rdsspd %[value]"
#endif
        : [value] "+r"(value));
    return value;
}

/// Whether a selector names a present ring-0 code segment: whether an IRET there will not fault.
/// [intel/vol2 LAR]
[[NMISAFE_TRAP_INLINE]] inline bool is_ring_0_code(uint16_t selector) {
    constexpr uint32_t wanted = 0x9800;   // present, code or data, executable
    constexpr uint32_t compared = 0xf800; // these and DPL
    uint32_t rights = 0;
    bool valid;
    asm("lar %[selector], %[rights]"
        : [rights] "+r"(rights), "=@ccz"(valid)
        : [selector] "r"(uint32_t{selector}));
    return valid && (rights & compared) == wanted;
}

[[NMISAFE_TRAP_INLINE]] inline uint16_t read_cs() {
    uint16_t value;
    asm("mov %%cs, %[value]" : [value] "=r"(value));
    return value;
}

[[NMISAFE_TRAP_INLINE]] inline uintptr_t read_flags() {
    uintptr_t value;
    asm volatile("pushf\n\tpop %[value]" : [value] "=r"(value) : : "memory");
    return value;
}

[[NMISAFE_TRAP_INLINE]] inline void write_flags(uintptr_t value) {
    asm volatile("push %[value]\n\tpopf" : : [value] "r"(value) : "memory", "cc");
}

/// @faults #GP on an MSR this CPU does not have.
[[NMISAFE_TRAP_INLINE]] inline uint64_t read_msr(uint32_t number) {
    uint32_t low;
    uint32_t high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
    return uint64_t{high} << 32 | low;
}

/// @faults #GP on an MSR this CPU does not have and on a value it refuses.
[[NMISAFE_TRAP_INLINE]] inline void write_msr(uint32_t number, uint64_t value) {
    asm volatile("wrmsr"
                 :
                 : "c"(number), "a"(static_cast<uint32_t>(value)),
                   "d"(static_cast<uint32_t>(value >> 32))
                 : "memory");
}

[[NMISAFE_TRAP_INLINE]] inline void disable_interrupts() {
    asm volatile("cli" : : : "memory");
}
[[NMISAFE_TRAP_INLINE]] inline void enable_interrupts() {
    asm volatile("sti" : : : "memory");
}
[[NMISAFE_TRAP_INLINE]] inline void pause() {
    asm volatile("pause" : : : "memory");
}

/// Drops this CPU's TLB entry for one page.
[[NMISAFE_TRAP_INLINE]] inline void invalidate_page(const void* address) {
    asm volatile("invlpg (%[address])" : : [address] "r"(address) : "memory");
}

} // namespace nmisafe::x86
