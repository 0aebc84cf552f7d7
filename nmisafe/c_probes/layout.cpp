// SPDX-License-Identifier: MIT
// What C and C++ know by different names is the same in memory.
#include "nmisafe/c/immediate.h"
#include "nmisafe/c/kprobe.h"
#include "nmisafe/c/marker.h"
#include "nmisafe/c/text_patch.h"
#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/marker/format.hpp"
#include "nmisafe/marker/marker.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

// Of classes that are not of standard layout, as far as both compilers have it.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace nmisafe {

#define NMISAFE_SAME(type, member, theirs, their_member)                                           \
    static_assert(offsetof(type, member) == offsetof(theirs, their_member) &&                      \
                  sizeof(type::member) == sizeof(theirs::their_member))

static_assert(sizeof(nmisafe_patch) == sizeof(text_patch::patch));
NMISAFE_SAME(nmisafe_patch, address, text_patch::patch, address);
NMISAFE_SAME(nmisafe_patch, function, text_patch::patch, function);
NMISAFE_SAME(nmisafe_patch, stub_before, text_patch::patch, stub_before);
NMISAFE_SAME(nmisafe_patch, stub_after, text_patch::patch, stub_after);
NMISAFE_SAME(nmisafe_patch, size, text_patch::patch, size);
NMISAFE_SAME(nmisafe_patch, expected_size, text_patch::patch, expected_size);
NMISAFE_SAME(nmisafe_patch, before, text_patch::patch, before);
NMISAFE_SAME(nmisafe_patch, after, text_patch::patch, after);
NMISAFE_SAME(nmisafe_patch, internal, text_patch::patch, internal);

static_assert(NMISAFE_SLOT_SIZE == kprobe::slot_size &&
              sizeof(nmisafe_kprobe) == sizeof(kprobe::probe));
NMISAFE_SAME(nmisafe_kprobe, address, kprobe::probe, address);
NMISAFE_SAME(nmisafe_kprobe, function, kprobe::probe, function);
NMISAFE_SAME(nmisafe_kprobe, slot, kprobe::probe, slot);
NMISAFE_SAME(nmisafe_kprobe, pre, kprobe::probe, pre);
NMISAFE_SAME(nmisafe_kprobe, post, kprobe::probe, post);
NMISAFE_SAME(nmisafe_kprobe, argument, kprobe::probe, argument);
NMISAFE_SAME(nmisafe_kprobe, hits, kprobe::probe, hits);
NMISAFE_SAME(nmisafe_kprobe, completed, kprobe::probe, completed);
NMISAFE_SAME(nmisafe_kprobe, missed, kprobe::probe, missed);
NMISAFE_SAME(nmisafe_kprobe, internal, kprobe::probe, internal);

static_assert(sizeof(nmisafe_key) == sizeof(immediate::key));
static_assert(NMISAFE_MOST_ARGUMENTS == marker::most_arguments);
static_assert(sizeof(nmisafe_argument_type) == sizeof(marker::argument_type));
NMISAFE_SAME(nmisafe_argument_type, kind, marker::argument_type, kind);
NMISAFE_SAME(nmisafe_argument_type, size, marker::argument_type, size);
NMISAFE_SAME(nmisafe_argument_type, base, marker::argument_type, base);
static_assert(NMISAFE_SIGNED == static_cast<int>(marker::argument_kind::signed_integer) &&
              NMISAFE_UNSIGNED == static_cast<int>(marker::argument_kind::unsigned_integer) &&
              NMISAFE_CHARACTER == static_cast<int>(marker::argument_kind::character) &&
              NMISAFE_POINTER == static_cast<int>(marker::argument_kind::pointer) &&
              NMISAFE_STRING == static_cast<int>(marker::argument_kind::string));

namespace marker {

/// A friend of both.
struct layout_of_c {
    static_assert(sizeof(nmisafe_marker) == sizeof(marker));
    NMISAFE_SAME(nmisafe_marker, channel, marker, channel_);
    NMISAFE_SAME(nmisafe_marker, name, marker, name_);
    NMISAFE_SAME(nmisafe_marker, format, marker, format_);
    NMISAFE_SAME(nmisafe_marker, types, marker, types_);
    NMISAFE_SAME(nmisafe_marker, count, marker, count_);
    NMISAFE_SAME(nmisafe_marker, hit, marker, hit_);
    NMISAFE_SAME(nmisafe_marker, arm_count, marker, arm_count_);
    NMISAFE_SAME(nmisafe_marker, first, marker, first_);
    NMISAFE_SAME(nmisafe_marker, twin, marker, twin_);
    NMISAFE_SAME(nmisafe_marker, is_listed, marker, is_listed_);
    // A reference has no offset: the one word that is left between those two.
    static_assert(offsetof(marker, hit_) - sizeof(void*) == offsetof(nmisafe_marker, on));

    static_assert(sizeof(nmisafe_probe) == sizeof(probe));
    NMISAFE_SAME(nmisafe_probe, function, probe, function_);
    NMISAFE_SAME(nmisafe_probe, private_data, probe, private_data_);
};

} // namespace marker

} // namespace nmisafe
