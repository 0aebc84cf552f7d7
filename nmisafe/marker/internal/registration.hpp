// SPDX-License-Identifier: MIT
// What changes markers: lists of probes, rings of twins, tables. One thread at a time.
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/marker/join.hpp"
#include "nmisafe/marker/marker.hpp"

// Weak: a program may have no marker at all.
extern "C" [[gnu::weak]] const int32_t __start_nmisafe_markers[];
extern "C" [[gnu::weak]] const int32_t __stop_nmisafe_markers[];

namespace nmisafe::marker {

namespace internal {

inline constexpr marker_error no_error{};

/// Tables that have joined. Published by one store of a pointer each; a range taken out keeps its
/// successor, as a probe does.
extern marker_range* joined;

/// Whether two strings are the same.
bool same(const char* a, const char* b);

inline uintptr_t address_of(const int32_t* entry) {
    return reinterpret_cast<uintptr_t>(entry) + static_cast<uintptr_t>(intptr_t{*entry});
}

/// Calls `visit(address)` for the markers in all tables, listed or not. Nobody joins or leaves
/// meanwhile.
template <typename Visit>
void for_each_address(Visit visit) {
    const auto each = [&visit](const int32_t* at, const int32_t* end) {
        for (; at != end; ++at)
            visit(address_of(at));
    };
    each(__start_nmisafe_markers, __stop_nmisafe_markers);
    for (const marker_range* range = joined; range != nullptr; range = range->internal.next)
        each(range->begin, range->end);
}

} // namespace internal

/// The right to change all that, from construction to destruction, if error() says so.
/// @context thread
class registration {
  public:
    registration();
    ~registration();
    registration(const registration&) = delete;
    registration& operator=(const registration&) = delete;

    marker_error error() const { return error_; }

    /// The listed marker that register_probe() means.
    base::expected<marker*, marker_error> find(const char* channel, const char* name,
                                               const char* format);

    marker_error add(marker& which, probe& added);
    /// Refuses what is not registered, nothing else. The marker may be left on.
    marker_error remove(probe& removed);

    /// Turns markers off that are on without probes; what comes of it for the first that stays on.
    marker_error turn_off_idle();

    /// The probe of a marker that is made of the two, or null.
    probe* find_probe(const marker& which, probe_function function, const void* private_data);

    /// Gives each marker of a table the state of the same marker, if there is one that is known.
    /// All or, with an error, none.
    marker_error turn_like_twins(const marker_range& added);

    /// Keeps a marker out of all_markers until link(). It has no probes yet.
    void hide(marker& added);

    /// Makes a marker of a table that has joined the twin of the same one, or lists it.
    void link(marker& added);

    /// Removes all probes, of whatever marker, that lie in the image or lead there. @return how
    /// many.
    size_t evict(const marker_range& image);

    /// Takes a marker from its twins, or its probes from it. @return how many were unregistered
    size_t unlink(marker& gone);

  private:
    static marker_error acquire();
    static marker_error turn(marker& which, bool on);
    static marker* find_same(const marker& which);
    static bool points_into(const probe& one, const marker_range& image);

    /// Calls `visit(marker&)` for a marker and its twins.
    template <typename Visit>
    static void for_each_twin(marker& which, Visit visit) {
        marker* one = &which;
        do {
            visit(*one);
            one = one->twin_;
        } while (one != nullptr && one != &which);
    }

    static void set_first(marker& which, probe* first);
    static void set_arm_count(marker& which, uint32_t count);
    static void set_hit(marker& which);

    marker_error error_;
    bool left_on_; // before this one: then it turns them off at its end, if it can
};

} // namespace nmisafe::marker
