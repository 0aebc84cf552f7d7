// SPDX-License-Identifier: MIT
// What the guide's kernels have of a machine: QEMU's, with one CPU.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/x86/port.hpp"

/// What a build leaves out: LEFT_OUT=gs defines GUIDE_LEFT_OUT=gs. The section is left out by shape.mk.
enum class step {
    nothing,
    gs,
    tss,
    double_fault,
    gate,
    stack,
    words,
    count,
    interrupts,
    policy,
    section
};
#ifndef GUIDE_LEFT_OUT
#define GUIDE_LEFT_OUT nothing
#endif
constexpr bool keeps(step one) {
    return one != step::GUIDE_LEFT_OUT;
}

extern "C" uintptr_t directories[]; // boot/boot.S

#ifdef __x86_64__
inline constexpr uintptr_t faulting_page = 512 << 20, faulting_memory = faulting_page;
inline constexpr unsigned large_page_shift = 21;
#else
inline constexpr uintptr_t faulting_page = 0xe0000000, faulting_memory = 512 << 20;
inline constexpr unsigned large_page_shift = 22;
#endif

inline void map_faulting_page(bool present) {
    directories[faulting_page >> large_page_shift] = faulting_memory | 0x82 | (present ? 1 : 0);
    asm volatile("invlpg (%[page])" : : [page] "r"(faulting_page) : "memory");
}

inline void send_nmi_to_self() {
    *reinterpret_cast<volatile uint32_t*>(0xfee00310) = 0;      // the local APIC's ICR: to CPU 0,
    *reinterpret_cast<volatile uint32_t*>(0xfee00300) = 0x4400; // an NMI
}

inline void print(const char* text) {
    for (; *text != 0; ++text)
        nmisafe::x86::out8(0xe9, static_cast<uint8_t>(*text));
}

inline void print(const char* text, uintptr_t number) {
    char digits[21] = {};
    unsigned at = 20;
    do
        digits[--at] = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    print(text);
    print(digits + at);
}

/// QEMU's isa-debug-exit.
[[noreturn]] inline void stop(uint8_t code) {
    print("\n");
    nmisafe::x86::out8(0xf4, code);
    for (;;)
        asm volatile("cli\n\thlt");
}

inline void mask_interrupt_controllers() {
    nmisafe::x86::out8(0x21, 0xff);
    nmisafe::x86::out8(0xa1, 0xff);
}
