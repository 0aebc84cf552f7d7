// SPDX-License-Identifier: MIT
/// Markers as events, without a line of code: whatever `trace_mark` stands in the program, or in
/// what is loaded later, becomes an event when a pattern asks for it.
///
///     static constinit tracer::marker_event storage[64];
///     tracer::use_marker_storage(storage, 64);        // once
///     const auto on = tracer::enable("net", "*");     // trace_mark(net, packet, "len %u", ...):
///                                                     // event net_packet with field len
///
/// The event of a marker is called <channel>_<name>. A field is called like the word in front of
/// its conversion, "len %u" and "flags=0x%x" as well; arg0, arg1, ... where there is none, or where
/// it is that of an earlier one. Text is cut to longest_text.
///
/// Hits that markers drop, because too many are under way, are no events and are counted in
/// cpu_state::dropped_hits (marker/README.md).
#pragma once

#include "nmisafe/marker/marker.hpp"
#include "nmisafe/tracer/control.hpp"

namespace nmisafe::tracer {

inline constexpr uint32_t longest_text = 128;

/// One marker that is an event; free again when it is no more, or when its image has left.
class marker_event {
  public:
    constexpr marker_event() : probe_(on_hit, this) {}

  private:
    friend class control;

    static void on_hit(const marker::marker& which, void* mine, const marker::arguments& values);

    marker::probe probe_;
    uint32_t id_ = 0;
};

/// Gives room for so many markers to be events at once, whatever is in it. It stays the tracer's.
/// @context thread, while no marker is an event
void use_marker_storage(marker_event* storage, size_t count);

/// Makes all markers events whose channel and name match, and remembers it for those that are
/// loaded later, until a later pattern that matches them says otherwise. With an error those that
/// came before it are on; the same call again goes on from there. `no_room`: the storage is full.
///
/// Nobody joins or leaves (marker/join.hpp) meanwhile.
/// @return how many markers match. @context thread, interrupts on, preempt count 0
base::expected<size_t, tracer_error> enable(const char* channel, const char* name);

/// The opposite. It waits until no hit is under way that writes one of these events.
base::expected<size_t, tracer_error> disable(const char* channel, const char* name);

/// After marker::join(): markers that came along become events if a pattern asks for them. Nothing
/// has to be called when an image leaves: marker::leave() unregisters what it takes along.
/// @return how many have become events; errors as enable()'s. @context as enable()
base::expected<size_t, tracer_error> markers_have_joined();

} // namespace nmisafe::tracer
