// SPDX-License-Identifier: MIT
// What control.hpp's functions are made of.
#pragma once

#include "nmisafe/ctf/table.hpp"
#include "nmisafe/marker/marker.hpp"
#include "nmisafe/tracer/control.hpp"
#include "nmisafe/tracer/internal/patterns.hpp"

namespace nmisafe::tracer {

/// The right to change all below, from construction to destruction, if error() says so.
/// @context thread
class control {
  public:
    static constexpr tracer_error no_error{};

    explicit control(bool is_set_up = true);
    ~control();
    control(const control&) = delete;
    control& operator=(const control&) = delete;

    tracer_error error() const { return error_; }

    tracer_error begin(trace_descriptor::descriptor& into);
    base::expected<size_t, tracer_error> add(event_type& added);
    base::expected<size_t, tracer_error> remove(event_type& removed);
    size_t evict(const base::address_range& data);
    base::expected<size_t, tracer_error> turn(const char* pattern, bool on);

    // Of markers (markers.cpp).
    base::expected<size_t, tracer_error> turn_markers(const char* channel, const char* name,
                                                      bool on);
    base::expected<size_t, tracer_error> connect_joined();

    /// The number of the type with that name and those fields, which gets one if it has none.
    base::expected<uint32_t, tracer_error> number_of(const char* name, const ctf::field* fields,
                                                     size_t field_count);

    using all_patterns = internal::patterns<longest_pattern, most_patterns>;
    static all_patterns wanted;

  private:
    static bool is_event(const marker::marker& which);
    tracer_error connect(const marker::marker& which);
    tracer_error disconnect(const char* channel, const char* name);

    static trace_descriptor::descriptor* into_;
    static uint32_t next_id_;
    static event_type* first_;
    static uint32_t busy_;

    tracer_error error_;
};

/// Of one function of control's, for the right to call it.
template <typename Function>
base::expected<size_t, tracer_error> with_control(Function function) {
    control mine;
    if (mine.error() != control::no_error)
        return base::unexpected(mine.error());
    return function(mine);
}

} // namespace nmisafe::tracer
