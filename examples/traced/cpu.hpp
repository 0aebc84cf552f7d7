// SPDX-License-Identifier: MIT
// What each CPU has, and how it is set up.
#pragma once

#include "nmisafe/tracer/cpu.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/user/user.hpp"
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe_platform.hpp"

inline constexpr uint32_t cpu_count = 2;

template <typename Top>
struct alignas(4096) stack_with {
    uint8_t stack[8192 - sizeof(Top)];
    Top top; // where the IST entry points
};

struct cpu_memory {
    per_cpu words;
    nmisafe::tracer::cpu tracer;
    stack_with<nmisafe::trap::nmi_block> nmi;
    stack_with<nmisafe::user::ist_top> debug, double_fault, machine_check;
    alignas(4096) uint8_t kernel_stack[16384]; // of events from ring 3
    nmisafe::x86::segment_descriptor gdt[8];
};
extern cpu_memory cpus[cpu_count];
extern nmisafe::x86::gate_64 idt[X86_VECTORS];

inline constexpr uint16_t code_selector = 8;

void fill_idt();              // once
void set_up_cpu(uint32_t id); // on it
/// To ring 3, on this CPU.
[[noreturn]] void enter_task(uintptr_t ip, uintptr_t sp);
