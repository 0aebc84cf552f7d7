// SPDX-License-Identifier: MIT
/// What the sites of the hosted test and the test tell each other. Assembly and C++; tests only.
#ifndef NMISAFE_TEXT_PATCH_X86_HOSTED_SITES_H
#define NMISAFE_TEXT_PATCH_X86_HOSTED_SITES_H

// Where the CPU arrives from a site.
#define ARRIVED_NEXT 1
#define ARRIVED_A 2
#define ARRIVED_B 3
#define ARRIVED_LOST 4 // by a RET without a CALL

#define CALLEE_A 5
#define CALLEE_B 6

// Words of a record.
#define RECORD_ARRIVAL 0
#define RECORD_CALLEE 1
#define RECORD_RETURN_ADDRESS 2
#define RECORD_SP_BEFORE 3
#define RECORD_SP_IN_CALLEE 4
#define RECORD_SP_AFTER 5
#define RECORD_FLAGS 6

#ifndef __ASSEMBLER__

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/assembly_call.hpp"

namespace nmisafe::text_patch::test {

/// What executing a site came to.
struct record {
    uintptr_t arrival;
    uintptr_t callee;         ///< 0: none was called.
    uintptr_t return_address; ///< As the callee found it.
    uintptr_t sp_before;
    uintptr_t sp_in_callee;
    uintptr_t sp_after;
    uintptr_t flags;
};
static_assert(offsetof(record, arrival) == RECORD_ARRIVAL * sizeof(uintptr_t));
static_assert(offsetof(record, callee) == RECORD_CALLEE * sizeof(uintptr_t));
static_assert(offsetof(record, return_address) == RECORD_RETURN_ADDRESS * sizeof(uintptr_t));
static_assert(offsetof(record, sp_before) == RECORD_SP_BEFORE * sizeof(uintptr_t));
static_assert(offsetof(record, sp_in_callee) == RECORD_SP_IN_CALLEE * sizeof(uintptr_t));
static_assert(offsetof(record, sp_after) == RECORD_SP_AFTER * sizeof(uintptr_t));
static_assert(offsetof(record, flags) == RECORD_FLAGS * sizeof(uintptr_t));

/// A place for an instruction, and where those that the test puts there lead to.
struct place {
    uintptr_t site;
    uintptr_t next;
    uintptr_t a; ///< In front of the site.
    uintptr_t b; ///< Behind it.
    uintptr_t stub_a;
    uintptr_t stub_b;
};

enum : unsigned { two_bytes, five_bytes, six_bytes, place_count };

extern "C" {
extern const place hosted_places[place_count];
extern const char hosted_callee_a[];
extern const char hosted_callee_b[];
/// Executes a site with these flags. It may lead anywhere and leave any stack pointer.
[[NMISAFE_ASSEMBLY_CALL]] void hosted_execute(record*, uintptr_t site, uintptr_t flags);
}

} // namespace nmisafe::text_patch::test

#endif
#endif
