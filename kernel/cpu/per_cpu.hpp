// SPDX-License-Identifier: MIT
// What each CPU has of its own, found through GS.
#pragma once

#include "kernel/cpu/per_cpu_layout.h"
#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/platform/cpu_state.hpp"
#include "nmisafe/trap/nmi_block.h"
#include "nmisafe/user/cpu_words.h"
#include "nmisafe/x86/descriptors.hpp"

namespace nmisafe::tracer {
struct cpu;
}

namespace kernel {

struct thread;
struct run_queue;

inline constexpr uint32_t most_cpus = 8;
inline constexpr uint32_t gdt_entries = 12;

/// The stacks an event switches to whatever ran before: x86-64's IST, numbered from 1. On x86-32
/// only the double fault has one.
enum class interrupt_stack : uint8_t { none, nmi, double_fault, machine_check, debug, count };

/// A bit of the word with the preempt count, in the place of the layout's need-resched flag: set
/// while nobody waits for the count to come down to 0. Inverted, so that the subtraction that ends
/// a section leaves a word of 0 exactly when somebody does (grace_period.hpp).
inline constexpr uint32_t nobody_waits = 0x80000000;

/// Only its own CPU uses it, but for `mailbox`. An NMI may read any of it at any time.
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
inline constexpr size_t cpu_alignment = 4096;
#else
inline constexpr size_t cpu_alignment = 64;
#endif

struct alignas(cpu_alignment) cpu {
    cpu* self;
    uint32_t id;
    uint32_t apic_id;
    uint32_t preempt_count; ///< Of the running thread, and nobody_waits, which is the CPU's own.
                            ///< Written by one instruction each.
    uint32_t need_resched;  ///< Set by the tick, cleared by schedule().
    thread* current;        ///< Never null once threads are set up.
    thread* switched_from;  ///< Valid while a switch of threads is under way.

#ifndef NMISAFE_PAGE_TABLE_ISOLATION
    ::nmisafe::user::cpu_words user;
#else
    uintptr_t unused[sizeof(uintptr_t) / 4]; ///< Where they would be: the offsets are the same.
#endif
    ::nmisafe::platform::cpu_state nmisafe;
    uint32_t lock_checker_off; ///< How deep; counted in the controls image only.
    uint32_t ticks;            ///< Tick interrupts taken.

#ifndef NMISAFE_PAGE_TABLE_ISOLATION
    nmisafe::x86::segment_descriptor gdt[gdt_entries];
#endif
#ifdef __x86_64__
    /// The TSS is in it. Null until the CPU's stacks are set up.
    nmisafe::trap::nmi_block* nmi_block;
#ifdef NMISAFE_SHADOW_STACK
    uintptr_t shadow_stack; ///< Of its first thread: the token. The IST's are in nmi_block.
#endif
#elif !defined NMISAFE_PAGE_TABLE_ISOLATION
    nmisafe::x86::tss_32 tss;                ///< A double fault saves the interrupted state here.
    nmisafe::x86::tss_32 double_fault_tss;   ///< And loads this.
    ::nmisafe::user::sysenter_top* sysenter; ///< Null until SYSENTER is set up.
#endif

    /// One function to run, for run_on(): `mail` is written last by the sender and cleared by this
    /// CPU when the function has returned.
    void (*mail)(void*);
    void* mail_argument;

    ::nmisafe::tracer::cpu* tracer; ///< Never null.
    uint32_t events_generated;      ///< Events of this kernel's that were begun, ...
    uint32_t events_written;        ///< ... and those that are in the trace. The rest is lost, or
                                    ///< not completed.

    uintptr_t experiment[16]; ///< For the experiment that runs.

#ifdef NMISAFE_PAGE_TABLE_ISOLATION
    // From here on in the page tables of user mode too.
#ifdef __x86_64__
    alignas(4096) uint8_t entry_stack[512]; // there nothing is below it
    ::nmisafe::user::cpu_words user;
#else
    alignas(4096)::nmisafe::user::cpu_words user;
    nmisafe::x86::tss_32 tss; // as above
    nmisafe::x86::tss_32 double_fault_tss;
#endif
    nmisafe::x86::segment_descriptor gdt[gdt_entries];
#endif
};
static_assert(offsetof(cpu, self) == CPU_SELF && offsetof(cpu, id) == CPU_ID);
static_assert(offsetof(cpu, preempt_count) == CPU_PREEMPT_COUNT);
static_assert(offsetof(cpu, user) == CPU_USER);
static_assert(offsetof(cpu, nmisafe) + offsetof(::nmisafe::platform::cpu_state, nmi_in_progress) ==
              CPU_NMI_IN_PROGRESS);
static_assert(offsetof(cpu, nmisafe) +
                  offsetof(::nmisafe::platform::cpu_state, nmi_like_in_progress) ==
              CPU_NMI_LIKE_IN_PROGRESS);

/// This CPU's. Threads stay on the CPU they were created on, so the compiler may keep the result,
/// and also fetch it early: no function that sets GS up may itself use this.
/// @context any with the kernel's GS
[[NMISAFE_TRAP_INLINE]] inline cpu& this_cpu() {
    cpu* self;
    asm("mov %%gs:%c[offset], %[self]" : [self] "=r"(self) : [offset] "i"(CPU_SELF));
    return *self;
}

/// `id` is below cpu_count(). @context any
cpu& cpu_at(uint32_t id);

/// CPUs that run. It may grow at any time: who first asks all of them and then waits for all counts
/// once. @context any
uint32_t cpu_count();

/// Fills in CPU `id`'s struct but for the descriptor tables (descriptor_tables.hpp). @context boot,
/// or the thread that starts that CPU
cpu& set_up_per_cpu(uint32_t id, uint32_t apic_id);

/// Counts the CPU that runs this, the next one to come up: from now on cpu_at() takes its id, and
/// it is asked whatever all CPUs are. @context boot of that CPU: KERNEL_JOIN_TEXT
void join_running_cpus();

/// The CPU that came up last is not counted any more. @context thread, while nobody asks all CPUs
void leave_running_cpus();

} // namespace kernel
