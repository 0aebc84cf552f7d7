// SPDX-License-Identifier: MIT
/// What is traced: events are made known, and turned on and off at run time by patterns of names.
///
/// One at a time: whoever comes meanwhile gets `busy`. Threads only.
#pragma once

#include "nmisafe/base/address_range.hpp"
#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/trace_descriptor/descriptor.hpp"
#include "nmisafe/tracer/event.hpp"

namespace nmisafe::tracer {

/// Of all these only `busy` passes by itself: whoever gets it may try again.
enum class tracer_error : uint8_t {
    in_nmi = 1,         ///< Asked for in an NMI handler.
    cannot_synchronise, ///< The other CPUs cannot be reached from here.
    busy,               ///< Another such call, or another patcher, is at work. Try again.
    not_set_up,         ///< There was no set_up() yet, or there was one already.
    known_already,      ///< The event was added.
    not_known,          ///< It was not.
    bad_name,           ///< Of an event or a field: no identifier.
    bad_pattern,        ///< Longer than longest_pattern.
    no_room,            ///< For one more type in the descriptor's table, for one more pattern or
                        ///< marker, or for patches: immediate::use_workspace().
    not_patched,        ///< A site could not be patched, because a kprobe stands on it, say.
};

inline constexpr size_t longest_pattern = 47;
inline constexpr size_t most_patterns = 32;

/// Begins a trace: types of events go into the descriptor, which stays from here on. The event that
/// packets begin with is made known. Buffers may be given to CPUs before or after.
/// @return 0. @context thread, once
base::expected<size_t, tracer_error> set_up(trace_descriptor::descriptor& into);

/// Makes an event known, and turns it on if a pattern says so. An event that was known before, with
/// the same name and fields, gets the number that it had: so modules may come and go. The earlier
/// are the shorter ones: the first 30 take 9 bytes less each time.
/// @return its number; with an error it is not known. @context thread, interrupts on
base::expected<size_t, tracer_error> add(event_type& added);

/// Forgets an event whose image is about to leave, and leaves it as it is: nothing runs that code.
/// @return its number. @context thread
base::expected<size_t, tracer_error> remove(event_type& removed);

/// The same of all events in the data of an image that leaves: those that its exit has forgotten, or
/// an init that failed. Before its memory is given back.
/// @return how many there were; without a set_up() none. @context thread
base::expected<size_t, tracer_error> evict(const base::address_range& data);

/// Turns the typed events on whose names match, all at one instant: `*` stands for any characters,
/// `?` for one. It is remembered for events that are added later, until a later pattern that
/// matches them says otherwise.
/// @return how many match; with an error nothing has changed. @context thread, interrupts on
base::expected<size_t, tracer_error> enable(const char* pattern);

/// Turns them off.
base::expected<size_t, tracer_error> disable(const char* pattern);

} // namespace nmisafe::tracer
