/* SPDX-License-Identifier: MIT */
/* The platform contract of hosted_test.c: a process of one thread, whose page tables are an array. */
#ifndef NMISAFE_C_PROBES_HOSTED_CONTRACT_TEST_H
#define NMISAFE_C_PROBES_HOSTED_CONTRACT_TEST_H

#include "nmisafe/c/nmisafe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const char __executable_start[], etext[];

static uint32_t count;
static nmisafe_cpu_state cpu;
static void (*after_synchronise)(void);
static unsigned synchronisations, grace_periods;
static bool interrupts_off;

uint32_t nmisafe_c_preempt_count(void) {
    return *(volatile uint32_t*)&count;
}
void nmisafe_c_add_preempt_count(uint32_t delta) {
    __asm__("addl %1, %0" : "+m"(count) : "ri"(delta) : "cc");
}
nmisafe_cpu_state* nmisafe_c_this_cpu(void) {
    return &cpu;
}
void nmisafe_c_panic(const nmisafe_failure* why) {
    printf("panic: %s\n", why->what);
    abort();
}

void nmisafe_c_write_text(uintptr_t address, const uint8_t* bytes, size_t size) {
    volatile uint8_t* code = (volatile uint8_t*)address;
    for (size_t i = 0; i < size; ++i)
        code[i] = bytes[i];
}
void nmisafe_c_read_text(uintptr_t address, uint8_t* bytes, size_t size) {
    for (size_t i = 0; i < size; ++i)
        bytes[i] = ((const volatile uint8_t*)address)[i];
}
bool nmisafe_c_is_text(uintptr_t begin, uintptr_t end) {
    return begin >= (uintptr_t)__executable_start && end <= (uintptr_t)etext;
}
bool nmisafe_c_is_no_probe(uintptr_t begin, uintptr_t end) {
    return begin > end;
}
bool nmisafe_c_may_synchronise(void) {
    return cpu.nmi_in_progress == 0 && !interrupts_off;
}
void nmisafe_c_synchronise_cpus(void) {
    unsigned a = 0, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
    ++synchronisations;
    if (after_synchronise != NULL)
        after_synchronise();
}
void nmisafe_c_wait_for_grace_period(void) {
    ++grace_periods;
}

#define PAGES 64
static uint8_t memory[PAGES][4096] __attribute__((aligned(4096)));
static bool used[PAGES];
static unsigned flushes, locks;

uint64_t nmisafe_c_kernel_top_table(void) {
    return 4096;
}
void* nmisafe_c_page_at(uint64_t physical) {
    return memory[physical / 4096];
}
uint64_t nmisafe_c_allocate_page(void) {
    for (unsigned page = 2; page < PAGES; ++page)
        if (!used[page]) {
            used[page] = true;
            memset(memory[page], 0, 4096);
            return page * UINT64_C(4096);
        }
    return 0;
}
void nmisafe_c_free_page(uint64_t physical) {
    used[physical / 4096] = false;
}
bool nmisafe_c_has_no_execute(void) {
    return true;
}
void nmisafe_c_flush_tlb(uintptr_t begin, uintptr_t end) {
    flushes += begin < end;
}
void nmisafe_c_lock_mappings(void) {
    ++locks;
}
void nmisafe_c_unlock_mappings(void) {
    --locks;
}
void nmisafe_c_for_each_top_table(void (*function)(uint64_t top_table, void* argument),
                                  void* argument) {
    function(4096, argument);
}

/* What the CPU would find in so many tables, from this one down; 1: its entry alone. */
static uintptr_t entry_of(uint64_t top_table, unsigned tables, uintptr_t address) {
    const unsigned bits = sizeof(uintptr_t) == 8 ? 9 : 10, all = sizeof(uintptr_t) == 8 ? 4 : 2;
    uintptr_t entry = (uintptr_t)top_table;
    for (unsigned level = all; level-- > all - tables;) {
        const uintptr_t index = address >> (12 + level * bits) & (((uintptr_t)1 << bits) - 1);
        memcpy(&entry, memory[entry / 4096 % PAGES] + index * sizeof entry, sizeof entry);
    }
    return entry;
}

static bool is_writable(const void* address) {
    return (entry_of(4096, sizeof(uintptr_t) / 2, (uintptr_t)address) & 2) != 0;
}
static bool
is_no_execute(const void* address) { /* never on x86-32: without PAE there is no such bit */
    return sizeof(uintptr_t) == 8 &&
           entry_of(4096, 4, (uintptr_t)address) >> (8 * sizeof(uintptr_t) - 1) != 0;
}

#endif
