// SPDX-License-Identifier: MIT
// Segment descriptors, gates and task state segments of both widths. Encoders are portable and
// constexpr, tested on any host; only the load functions need the machine. [intel/vol3 3.4.5, 6.11,
// 6.14.1, 7.2, 7.7]
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"

namespace nmisafe::x86 {

/// A code or data segment descriptor.
struct segment_descriptor {
    uint64_t bits;
};

enum class segment_type : uint8_t {
    data = 0x93,      // present, ring 0, writable, accessed
    code = 0x9b,      // present, ring 0, readable, accessed
    user_data = 0xf3, // the same for ring 3
    user_code = 0xfb,
    tss_32 = 0x89, // present, available 32-bit TSS; the same code means a 64-bit TSS in long mode
};

enum class segment_width : uint8_t { bits_16 = 0x8, bits_32 = 0xc, bits_64 = 0xa, system = 0x0 };

/// `limit` counts 4 KiB pages for code and data (granularity is part of segment_width), bytes for a
/// system segment.
constexpr segment_descriptor make_segment(uint32_t base, uint32_t limit, segment_type type,
                                          segment_width width) {
    return {(uint64_t{limit} & 0xffff) | (uint64_t{base} & 0xffffff) << 16 |
            uint64_t{static_cast<uint8_t>(type)} << 40 | (uint64_t{limit} >> 16 & 0xf) << 48 |
            uint64_t{static_cast<uint8_t>(width)} << 52 | (uint64_t{base} >> 24) << 56};
}

inline constexpr uint32_t flat_limit = 0xfffff;

enum class gate_type : uint8_t {
    interrupt = 0x8e,      // present, ring 0, clears IF
    user_interrupt = 0xee, // the same, and INT n may be executed in ring 3
    task = 0x85,           // present, ring 0; x86-32 only
};

/// An IDT entry of long mode.
struct gate_64 {
    uint64_t low;
    uint64_t high;
};

/// `stack` is the IST index, 0 = stay on the current stack.
constexpr gate_64 make_gate_64(uint64_t handler, uint16_t selector, uint8_t stack,
                               gate_type type = gate_type::interrupt) {
    return {(handler & 0xffff) | uint64_t{selector} << 16 | uint64_t{stack} << 32 |
                uint64_t{static_cast<uint8_t>(type)} << 40 | (handler >> 16 & 0xffff) << 48,
            handler >> 32};
}

/// An IDT entry of protected mode.
struct gate_32 {
    uint64_t bits;
};

/// For a task gate `selector` names the TSS and `handler` is ignored.
constexpr gate_32 make_gate_32(uint32_t handler, uint16_t selector, gate_type type) {
    const uint64_t target = type == gate_type::task ? 0 : handler;
    return {(target & 0xffff) | uint64_t{selector} << 16 |
            uint64_t{static_cast<uint8_t>(type)} << 40 | (target >> 16) << 48};
}

/// The 64-bit task state segment: stacks only. ist[n] is IST n+1.
struct [[gnu::packed]] tss_64 {
    uint32_t reserved_0;
    uint64_t rsp[3];
    uint64_t reserved_1;
    uint64_t ist[7];
    uint64_t reserved_2;
    uint16_t reserved_3;
    uint16_t io_map_base;
};
static_assert(sizeof(tss_64) == 104);

/// The 32-bit task state segment; a task gate loads all of it.
struct tss_32 {
    uint32_t previous_task, esp0, ss0, esp1, ss1, esp2, ss2;
    uint32_t cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
    uint32_t es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_map_base;
};
static_assert(sizeof(tss_32) == 104);

/// The operand of LGDT and LIDT.
struct [[gnu::packed]] table_register {
    uint16_t limit;
    uintptr_t base;
};

[[NMISAFE_TRAP_INLINE]] inline void load_gdt(const table_register& table) {
    asm volatile("lgdt %[table]" : : [table] "m"(table) : "memory");
}

[[NMISAFE_TRAP_INLINE]] inline void load_idt(const table_register& table) {
    asm volatile("lidt %[table]" : : [table] "m"(table) : "memory");
}

[[NMISAFE_TRAP_INLINE]] inline void load_task_register(uint16_t selector) {
    asm volatile("ltr %[selector]" : : [selector] "r"(selector) : "memory");
}

/// 0: no LDT. A reset leaves one behind that covers the first 64 KiB of memory. [intel/vol3 table
/// 9-1]
[[NMISAFE_TRAP_INLINE]] inline void load_local_table(uint16_t selector) {
    asm volatile("lldt %[selector]" : : [selector] "r"(selector) : "memory");
}

/// The address that a system descriptor of long mode, two entries of the table, holds.
[[NMISAFE_TRAP_INLINE]] constexpr uint64_t system_base(uint64_t low, uint64_t high) {
    return (low >> 16 & 0xffffff) | (low >> 56) << 24 | high << 32;
}

#ifdef __x86_64__
/// Where this CPU's TSS lies. @context any, once TR is loaded
[[NMISAFE_TRAP_INLINE]] inline uintptr_t read_tss_base() {
    table_register gdt;
    uint16_t selector;
    asm volatile("sgdt %[table]" : [table] "=m"(gdt));
    asm volatile("str %[selector]" : [selector] "=r"(selector));
    const auto* const entry = reinterpret_cast<const uint64_t*>(gdt.base + selector);
    return system_base(entry[0], entry[1]);
}
#endif

} // namespace nmisafe::x86
