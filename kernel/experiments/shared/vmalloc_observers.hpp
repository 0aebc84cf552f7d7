// SPDX-License-Identifier: MIT
// What the paths of vmalloc-under-change have in common: a mapping that comes and goes, always at
// the same address, and two CPUs that access it, each in an address space of its own that has to
// learn of it. CPU 0 is swept, CPU 1 does in a thread what CPU 0 asks for.
//
// What an access finds must be the mapping or none, never anything else; and who has seen the later
// of the two must not see the earlier again.
#pragma once

#include "kernel/experiments/shared/shared_word.hpp"
#include "kernel/memory/address_space.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/trap_frame.h"

namespace kernel {

struct observed_mapping {
    uint32_t* address;          // the lowest free one
    bool tearing_down;          // what this path does to it; else it is made
    shared_flag is_mapped;      // since a call has returned
    address_space* nmi_space;   // of CPU 0
    address_space* other_space; // of CPU 1
    shared_count mapped_seen;   // accesses that found it, and that found none
    shared_count unmapped_seen;
};
extern observed_mapping mapping;

/// What a mapping that is torn down begins with; one that is made is zeroed.
inline constexpr uint32_t torn_content = 0x600df00d;

/// vmalloc() and vfree() of a page at the mapping's address. @context thread, interrupts on
bool make_mapping();
bool tear_down_mapping();

/// What CPU 1 can be asked for.
enum class request : uint32_t {
    look = 1,
    forget, // that its address space has heard of the mapping
    make,
    tear_down,
};

/// Finds the address, makes both address spaces and starts CPU 1; and ends that. @context thread
void start_observers();
void stop_observers();

/// Lets CPU 1 begin; waits for what it has begun; both. @context any, CPU 0
void start_other(request what);
void finish_other();
inline void ask_other(request what) {
    start_other(what);
    finish_other();
}

/// What an observer has seen in this pass.
struct observer {
    shared_flag seen_later;
};

/// Judges one access. `is_over`: by then the change was made. @context any
void judge_access(observer& who, bool found, uint32_t value, bool is_over);

/// CPU 0 accesses the mapping, and both CPUs do. CPU 1 does not if it is at work on something else.
/// @context any, CPU 0
void look_from_here(bool is_over);
void look_at_mapping(bool is_over);

/// What CPU 0 has seen in look_at_mapping(). @context any
const observer& own_observer();

/// Before each injection: the mapping is there, with its content, or not there, as the path begins;
/// neither address space has heard of it. @context thread, CPU 0, interrupts on
void restore_mapping();

/// The page-fault handler: an access to what is not mapped is given up. @context any
bool on_observed_fault(nmisafe::x86::trap_frame& frame, uintptr_t at);

/// vmalloc_changed_fault.cpp: the paths through the fault itself. @context thread, CPU 0
void sweep_changed_faults();

} // namespace kernel
