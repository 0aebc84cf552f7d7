// SPDX-License-Identifier: MIT
// This kernel, as the library sees it: the platform contract fulfilled.
#pragma once

#include "kernel/common/controls.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/cpu/section_end.hpp"
#include "kernel/memory/address_space.hpp"
#include "kernel/memory/pages.hpp"
#include "kernel/panic/panic.hpp"
#include "kernel/smp/broadcast.hpp"
#include "kernel/smp/code.hpp"
#include "kernel/smp/grace_period.hpp"
#include "kernel/smp/tlb.hpp"
#include "kernel/threads/mapping_lock.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/platform/failure.hpp"
#include "nmisafe/platform/return_image.hpp"

namespace kernel {

#ifdef NMISAFE_TRAP_CONTROLS
/// Called, if set, in each NMI before it is counted and after it no longer is (the two windows in
/// which the count says nothing of an NMI). Null means no hook. The controls image only, so that
/// the NMI path of the others stays what a user of the library gets.
extern void (*nmi_window_hook)();

/// Called, if set, whenever the library asks for a page. @context thread
extern void (*allocation_hook)();
#endif

#ifdef NMISAFE_TRAP_RETURN_CAPTURE
/// Called, if set, with the words of each NMI-safe return that is about to be taken. @context any
extern void (*return_hook)(const nmisafe::platform::return_image&);
#endif

} // namespace kernel

struct nmisafe_platform {
    // GS-relative and one instruction, so that an NMI sees the count before or after, and nothing
    // between. No LOCK: only the own CPU changes it.
    [[NMISAFE_TRAP_INLINE]] static uint32_t preempt_count() {
        uint32_t count;
        asm volatile("movl %%gs:%c[offset], %[count]"
                     : [count] "=r"(count)
                     : [offset] "i"(CPU_PREEMPT_COUNT));
        return count;
    }
    [[NMISAFE_TRAP_INLINE]] static void add_preempt_count(uint32_t delta) {
        asm volatile("addl %[delta], %%gs:%c[offset]"
                     :
                     : [delta] "ri"(delta), [offset] "i"(CPU_PREEMPT_COUNT)
                     : "memory", "cc");
    }

    /// One jump more than add_preempt_count(), taken if the word is 0: somebody waits.
    [[gnu::always_inline]] static void end_section(uint32_t delta) {
        bool zero;
        asm volatile("addl %[delta], %%gs:%c[offset]"
                     : "=@ccz"(zero)
                     : [delta] "ri"(delta), [offset] "i"(CPU_PREEMPT_COUNT)
                     : "memory");
        if (zero) [[unlikely]]
            kernel::note_end_of_section();
    }

    [[NMISAFE_TRAP_INLINE]] static bool add_preempt_byte(uint8_t delta) {
        bool is_negative;
        asm volatile("addb %[delta], %%gs:%c[offset]"
                     : "=@ccs"(is_negative)
                     : [delta] "qi"(delta), [offset] "i"(CPU_PREEMPT_COUNT)
                     : "memory");
        return is_negative && !kernel::is_removed(kernel::defence::cap);
    }

    [[NMISAFE_TRAP_INLINE]] static nmisafe::platform::cpu_state& this_cpu() {
        return kernel::this_cpu().nmisafe;
    }
    [[NMISAFE_TRAP_INLINE]] static nmisafe::tracer::cpu& tracer_cpu() {
        return *kernel::this_cpu().tracer;
    }

    [[noreturn]] static void panic(const nmisafe::platform::failure& why) {
        kernel::panic(why.what, why.frame, why.value);
    }

    static constexpr bool writes_text_twice = true; // this kernel's CPUs are QEMU's
    static void write_text(uintptr_t address, const uint8_t* bytes, size_t size) {
        kernel::write_text(address, bytes, size);
    }
    [[NMISAFE_TRAP_INLINE]] static void read_text(uintptr_t address, uint8_t* bytes, size_t size) {
        const auto* const code = reinterpret_cast<const volatile uint8_t*>(address);
        for (size_t i = 0; i < size; ++i)
            bytes[i] = code[i];
    }
    [[NMISAFE_TRAP_INLINE]] static bool is_text(uintptr_t begin, uintptr_t end) {
        return kernel::is_text(begin, end);
    }
    [[NMISAFE_TRAP_INLINE]] static bool is_no_probe(uintptr_t begin, uintptr_t end) {
        return kernel::is_no_probe(begin, end);
    }
    static bool may_synchronise() { return kernel::may_broadcast(); }
    static void synchronise_cpus() { kernel::synchronise_cpus(); }
    static void wait_for_grace_period() { kernel::wait_for_grace_period(); }

    static constexpr nmisafe::x86::paging_mode paging = kernel::paging;
    [[NMISAFE_TRAP_INLINE]] static uint64_t kernel_top_table() {
        return kernel::kernel_space().top_table;
    }
    /// Through the direct map, which every address space has.
    [[NMISAFE_TRAP_INLINE]] static void* page_at(uint64_t physical) {
        return reinterpret_cast<void*>(KERNEL_DIRECT_BASE + static_cast<uintptr_t>(physical));
    }
    static uint64_t allocate_page() {
#ifdef NMISAFE_TRAP_CONTROLS
        if (kernel::allocation_hook != nullptr)
            kernel::allocation_hook();
#endif
        return kernel::try_allocate_page();
    }
    static void free_page(uint64_t page) {
        kernel::free_page(static_cast<uintptr_t>(page));
    }
    static bool has_no_execute() {
        return kernel::has_no_execute();
    }
    static void flush_tlb(uintptr_t begin, uintptr_t end) {
        kernel::flush_tlb(begin, end);
    }
    static void lock_mappings() {
        kernel::lock_mappings();
    }
    static void unlock_mappings() {
        kernel::unlock_mappings();
    }
    static void for_each_top_table(void (*function)(uint64_t, void*), void* argument) {
        kernel::for_each_top_table(function, argument);
    }

#ifdef NMISAFE_TRAP_CONTROLS
    [[NMISAFE_TRAP_INLINE]] static void lock_checker_off() {
        kernel::this_cpu().lock_checker_off += 1;
        if (kernel::nmi_window_hook != nullptr)
            kernel::nmi_window_hook();
    }
    [[NMISAFE_TRAP_INLINE]] static void lock_checker_on() {
        if (kernel::nmi_window_hook != nullptr)
            kernel::nmi_window_hook();
        kernel::this_cpu().lock_checker_off -= 1;
    }
#endif

#ifdef NMISAFE_TRAP_RETURN_CAPTURE
    [[NMISAFE_TRAP_INLINE]] static void
    capture_return(const nmisafe::platform::return_image& image) {
        if (kernel::return_hook != nullptr)
            kernel::return_hook(image);
    }
#endif
};
