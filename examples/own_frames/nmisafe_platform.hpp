// SPDX-License-Identifier: MIT
// What this kernel tells the library: one CPU, code that is writable where it stands, and the frame of its own entries.
#pragma once

#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include "nmisafe/platform/frame_layout.hpp"

[[noreturn]] void panic(const char* what);
extern "C" const uint8_t start[], etext[]; // boot.S; the linker

/// What entry.S leaves on the stack.
struct frame {
#ifdef __x86_64__
    uintptr_t r15, r14, r13, r12, rbx, rbp, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
    uintptr_t what; // the kernel's own: which of its entries this is
    uintptr_t code, ip, cs, flags, sp, ss;
#else
    uintptr_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
    uintptr_t what;
    uintptr_t code, ip, cs, flags;
#endif
};

struct nmisafe_platform {
    using frame = ::frame;
    static constexpr nmisafe::platform::frame_layout layout_of_frame = {
        .ip = offsetof(frame, ip),
        .flags = offsetof(frame, flags),
        .error = offsetof(frame, code),
#ifdef __x86_64__
        .sp = offsetof(frame, sp),
        .registers = {offsetof(frame, rax), offsetof(frame, rcx), offsetof(frame, rdx),
                      offsetof(frame, rbx), 0, offsetof(frame, rbp), offsetof(frame, rsi),
                      offsetof(frame, rdi), offsetof(frame, r8), offsetof(frame, r9),
                      offsetof(frame, r10), offsetof(frame, r11), offsetof(frame, r12),
                      offsetof(frame, r13), offsetof(frame, r14), offsetof(frame, r15)},
#else
        .sp = sizeof(frame),
        .registers = {offsetof(frame, eax), offsetof(frame, ecx), offsetof(frame, edx),
                      offsetof(frame, ebx), 0, offsetof(frame, ebp), offsetof(frame, esi),
                      offsetof(frame, edi)},
#endif
    };

    static inline uint32_t count;
    static inline nmisafe::platform::cpu_state cpu;

    [[NMISAFE_TRAP_INLINE]] static uint32_t preempt_count() {
        return *static_cast<const volatile uint32_t*>(&count);
    }
    [[NMISAFE_TRAP_INLINE]] static void add_preempt_count(uint32_t delta) {
        asm volatile("addl %[delta], %[count]" : [count] "+m"(count) : [delta] "ri"(delta) : "cc");
    }
    [[NMISAFE_TRAP_INLINE]] static nmisafe::platform::cpu_state& this_cpu() {
        return cpu;
    }
    [[noreturn]] static void panic(const nmisafe::platform::failure& why) {
        ::panic(why.what);
    }

    static void write_text(uintptr_t address, const uint8_t* bytes, size_t size) {
        for (size_t i = 0; i < size; ++i)
            reinterpret_cast<volatile uint8_t*>(address)[i] = bytes[i];
    }
    [[NMISAFE_TRAP_INLINE]] static void read_text(uintptr_t address, uint8_t* bytes, size_t size) {
        for (size_t i = 0; i < size; ++i)
            bytes[i] = reinterpret_cast<const volatile uint8_t*>(address)[i];
    }
    [[NMISAFE_TRAP_INLINE]] static bool is_text(uintptr_t begin, uintptr_t end) {
        return begin >= reinterpret_cast<uintptr_t>(start) &&
               end <= reinterpret_cast<uintptr_t>(etext);
    }
    /// All that runs between a #BP and its handler is in the section nmisafe_trap_text, entry.S too.
    [[NMISAFE_TRAP_INLINE]] static bool is_no_probe(uintptr_t, uintptr_t) {
        return false;
    }
    /// One CPU: nobody to wait for, unless this is a handler. Interrupts are always off here.
    static bool may_synchronise() {
        return preempt_count() == 0 && cpu.nmi_in_progress == 0 && cpu.nmi_like_in_progress == 0;
    }
    static void synchronise_cpus() {
        uint32_t a = 0, b, c = 0, d;
        asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
    }
};
