// SPDX-License-Identifier: MIT
// What a loader would have: an image that came later, with its table of markers. Made by hand, as
// statement.hpp and x86/record.hpp have it.
#pragma once

#include "nmisafe/marker/internal/hits.hpp"
#include "nmisafe/marker/join.hpp"
#include "nmisafe/marker/marker.hpp"

namespace nmisafe::marker::test {

/// Three markers of channel "join": "shared", which others have too, "own" and "none".
struct image {
    static constexpr size_t count = 3;

    struct all_constants {
        char channel[8] = "join";
        char names[count][8] = {"shared", "own", "none"};
        char formats[count][16] = {"value %u", "a %d b %p", " "};
        argument_type types[3] = {{argument_kind::unsigned_integer, 4, 10},
                                  {argument_kind::signed_integer, 4, 10},
                                  {argument_kind::pointer, sizeof(void*), 16}};
    };
    struct all_data {
        explicit all_data(const all_constants& of)
            : markers{{of.channel, of.names[0], of.formats[0], &of.types[0], 1, flags[0]},
                      {of.channel, of.names[1], of.formats[1], &of.types[1], 2, flags[1]},
                      {of.channel, of.names[2], of.formats[2], &of.types[0], 0, flags[2]}} {}
        immediate::immediate<bool> flags[count];
        marker markers[count];
    };

    all_constants constants;
    all_data data{constants};
    int32_t table[count];
    marker_range range{};

    image() {
        for (size_t i = 0; i < count; ++i)
            table[i] = static_cast<int32_t>(address_of(&data.markers[i]) - address_of(&table[i]));
        range.begin = table;
        range.end = table + count;
        range.data = {address_of(&data), address_of(&data + 1)};
        range.constants = {address_of(&constants), address_of(&constants + 1)};
    }

    static uintptr_t address_of(const void* what) { return reinterpret_cast<uintptr_t>(what); }

    const marker& shared() const { return data.markers[0]; }
    const marker& own() const { return data.markers[1]; }

    /// As _trace_mark does.
    void hit_shared(unsigned value) const {
        const internal::argument_block<1> values(shared(), value);
        if (data.flags[0].stored())
            (void)hits::call(shared(), values.head);
    }
    void hit_own() const {
        const internal::argument_block<2> values(own(), 1U, 2U);
        if (data.flags[1].stored())
            (void)hits::call(own(), values.head);
    }
};

} // namespace nmisafe::marker::test
