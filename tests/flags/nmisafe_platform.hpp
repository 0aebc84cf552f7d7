// SPDX-License-Identifier: MIT
// An embedding kernel with every hook of the contract, for objects that are never run: the hooks
// that the trap text calls are inlined or in the trap text, by the library's macros.
#pragma once

#include "nmisafe/base/trap_text.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include "nmisafe/platform/return_image.hpp"
#include "nmisafe/x86/paging.hpp"

namespace nmisafe::tracer {
struct cpu;
}

struct nmisafe_platform {
    static inline uint32_t count;
    static inline uint32_t hooks_called[4];
    static inline nmisafe::platform::cpu_state cpu;
    static uint8_t direct_map[];

    static constexpr bool checks_counts = true;
    [[NMISAFE_TRAP_INLINE]] static uint32_t preempt_count() {
        return *static_cast<const volatile uint32_t*>(&count);
    }
    [[NMISAFE_TRAP_INLINE]] static void add_preempt_count(uint32_t delta) {
        asm volatile("addl %[delta], %[count]" : [count] "+m"(count) : [delta] "ri"(delta) : "cc");
    }
    [[NMISAFE_TRAP_INLINE]] static nmisafe::platform::cpu_state& this_cpu() { return cpu; }
    [[noreturn]] static void panic(const nmisafe::platform::failure& why);

    [[NMISAFE_TRAP_INLINE]] static void lock_checker_off() { hooks_called[0] += 1; }
    [[NMISAFE_TRAP_INLINE]] static void lock_checker_on() { hooks_called[1] += 1; }
    [[NMISAFE_TRAP_TEXT]] static void irq_enter_accounting();
    [[NMISAFE_TRAP_TEXT]] static void irq_exit_accounting();
    [[NMISAFE_TRAP_TEXT]] static void capture_return(const nmisafe::platform::return_image& image);

    [[NMISAFE_TRAP_TEXT]] static nmisafe::tracer::cpu& tracer_cpu();

    static void write_text(uintptr_t address, const uint8_t* bytes, size_t size);
    [[NMISAFE_TRAP_INLINE]] static void read_text(uintptr_t address, uint8_t* bytes, size_t size) {
        for (size_t i = 0; i < size; ++i)
            bytes[i] = reinterpret_cast<const volatile uint8_t*>(address)[i];
    }
    [[NMISAFE_TRAP_INLINE]] static bool is_text(uintptr_t begin, uintptr_t end) {
        return begin <= end && end != 0;
    }
    [[NMISAFE_TRAP_TEXT]] static bool is_no_probe(uintptr_t begin, uintptr_t end);
    static bool may_synchronise();
    static void synchronise_cpus();
    static void wait_for_grace_period();

#ifdef __x86_64__
    static constexpr nmisafe::x86::paging_mode paging = nmisafe::x86::paging_mode::four_level;
#else
    static constexpr nmisafe::x86::paging_mode paging = nmisafe::x86::paging_mode::two_level;
#endif
    [[NMISAFE_TRAP_INLINE]] static uint64_t kernel_top_table() {
        return 0x1000;
    }
    [[NMISAFE_TRAP_INLINE]] static void* page_at(uint64_t physical) {
        return direct_map + static_cast<uintptr_t>(physical);
    }
    static uint64_t allocate_page();
    static void free_page(uint64_t physical);
    static bool has_no_execute();
    static void flush_tlb(uintptr_t begin, uintptr_t end);
    static void lock_mappings();
    static void unlock_mappings();
    static void for_each_top_table(void (*function)(uint64_t top_table, void* argument),
                                   void* argument);
};
