/* SPDX-License-Identifier: MIT */
/* What this kernel tells the library: one CPU, one address space, code that is writable where it stands. */
#include "kernel.h"

#include "nmisafe/c/contract.h"

extern uint8_t start[], etext[]; /* boot.S; the linker */

static uint32_t count;
static nmisafe_cpu_state cpu;

uint32_t nmisafe_c_preempt_count(void) {
    return *(volatile uint32_t*)&count;
}

void nmisafe_c_add_preempt_count(uint32_t delta) {
    __asm__ volatile("addl %1, %0" : "+m"(count) : "ri"(delta) : "cc");
}

nmisafe_cpu_state* nmisafe_c_this_cpu(void) {
    return &cpu;
}

void nmisafe_c_panic(const nmisafe_failure* why) {
    panic(why->what);
}

void nmisafe_c_write_text(uintptr_t address, const uint8_t* bytes, size_t size) {
    for (size_t i = 0; i < size; ++i)
        ((volatile uint8_t*)address)[i] = bytes[i];
}

void nmisafe_c_read_text(uintptr_t address, uint8_t* bytes, size_t size) {
    for (size_t i = 0; i < size; ++i)
        bytes[i] = ((const volatile uint8_t*)address)[i];
}

bool nmisafe_c_is_text(uintptr_t begin, uintptr_t end) {
    return begin >= (uintptr_t)start && end <= (uintptr_t)etext;
}

/* Handlers that this kernel has on the way of a #BP are in the section nmisafe_trap_text. */
bool nmisafe_c_is_no_probe(uintptr_t begin, uintptr_t end) {
    return begin > end;
}

/* One CPU: nobody to wait for, unless this is a handler. Interrupts are always off here. */
bool nmisafe_c_may_synchronise(void) {
    return count == 0 && cpu.nmi_in_progress == 0 && cpu.nmi_like_in_progress == 0;
}

void nmisafe_c_synchronise_cpus(void) {
    uint32_t a = 0, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
}

void nmisafe_c_wait_for_grace_period(void) {}
