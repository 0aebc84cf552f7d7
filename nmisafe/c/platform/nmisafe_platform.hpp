// SPDX-License-Identifier: MIT
/// The platform contract of a kernel in C: each function of it is one of C, nmisafe/c/contract.h. Not inlined, so each
/// costs a call; a kernel that counts those writes this header anew, with its own words in it.
///
/// NMISAFE_C_PAE: an x86-32 kernel that pages with PAE. NMISAFE_C_WRITES_TEXT_TWICE: see `writes_text_twice`.
#pragma once

#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/c/contract.h"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include "nmisafe/x86/paging.hpp"

struct nmisafe_platform {
    [[NMISAFE_TRAP_INLINE]] static uint32_t preempt_count() { return nmisafe_c_preempt_count(); }
    [[NMISAFE_TRAP_INLINE]] static void add_preempt_count(uint32_t delta) {
        nmisafe_c_add_preempt_count(delta);
    }
    [[NMISAFE_TRAP_INLINE]] static nmisafe::platform::cpu_state& this_cpu() {
        return *reinterpret_cast<nmisafe::platform::cpu_state*>(nmisafe_c_this_cpu());
    }
    [[noreturn]] static void panic(const nmisafe::platform::failure& why) {
        nmisafe_c_panic(reinterpret_cast<const nmisafe_failure*>(&why));
    }

#ifdef NMISAFE_C_WRITES_TEXT_TWICE
    static constexpr bool writes_text_twice = true;
#endif
    static void write_text(uintptr_t address, const uint8_t* bytes, size_t size) {
        nmisafe_c_write_text(address, bytes, size);
    }
    [[NMISAFE_TRAP_INLINE]] static void read_text(uintptr_t address, uint8_t* bytes, size_t size) {
        nmisafe_c_read_text(address, bytes, size);
    }
    [[NMISAFE_TRAP_INLINE]] static bool is_text(uintptr_t begin, uintptr_t end) {
        return nmisafe_c_is_text(begin, end);
    }
    [[NMISAFE_TRAP_INLINE]] static bool is_no_probe(uintptr_t begin, uintptr_t end) {
        return nmisafe_c_is_no_probe(begin, end);
    }
    static bool may_synchronise() {
        return nmisafe_c_may_synchronise();
    }
    static void synchronise_cpus() {
        nmisafe_c_synchronise_cpus();
    }
    static void wait_for_grace_period() {
        nmisafe_c_wait_for_grace_period();
    }

#ifdef __x86_64__
    static constexpr auto paging = nmisafe::x86::paging_mode::four_level;
#elif defined NMISAFE_C_PAE
    static constexpr auto paging = nmisafe::x86::paging_mode::pae;
#else
    static constexpr auto paging = nmisafe::x86::paging_mode::two_level;
#endif
    [[NMISAFE_TRAP_INLINE]] static uint64_t kernel_top_table() {
        return nmisafe_c_kernel_top_table();
    }
    [[NMISAFE_TRAP_INLINE]] static void* page_at(uint64_t physical) {
        return nmisafe_c_page_at(physical);
    }
    static uint64_t allocate_page() {
        return nmisafe_c_allocate_page();
    }
    static void free_page(uint64_t physical) {
        nmisafe_c_free_page(physical);
    }
    static bool has_no_execute() {
        return nmisafe_c_has_no_execute();
    }
    static void flush_tlb(uintptr_t begin, uintptr_t end) {
        nmisafe_c_flush_tlb(begin, end);
    }
    static void lock_mappings() {
        nmisafe_c_lock_mappings();
    }
    static void unlock_mappings() {
        nmisafe_c_unlock_mappings();
    }
    static void for_each_top_table(void (*function)(uint64_t, void*), void* argument) {
        nmisafe_c_for_each_top_table(function, argument);
    }
};
