// SPDX-License-Identifier: MIT
/// Typed events: declared once, with fields that the compiler checks at each use.
///
///     using packet = tracer::event<"net_packet", tracer::channel::kernel,
///                                  tracer::u32<"length">, tracer::string<"device", 16>>;
///     tracer::add(packet::type);                      // once, in a thread: control.hpp
///     tracer::trace<packet>(length, device->name);    // anywhere, in any context
///
/// While the event is off, trace() is a NOP of 5 bytes.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/context/count.hpp"
#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/tracer/internal/write.hpp"

namespace nmisafe::tracer {

/// What control.hpp knows of an event. One in each image that has the event; those of a module
/// leave with it.
class event_type {
  public:
    constexpr event_type(const char* name, const ctf::field* fields, size_t field_count,
                         immediate::immediate<bool>& on)
        : name_(name), fields_(fields), field_count_(field_count), on_(on) {}
    event_type(const event_type&) = delete;
    event_type& operator=(const event_type&) = delete;

    const char* name() const { return name_; }
    bool is_on() const { return on_.stored(); }
    /// 0: it was not added. @context any
    uint32_t id() const { return __atomic_load_n(&id_, __ATOMIC_RELAXED); }

  private:
    friend class control;

    const char* const name_;
    const ctf::field* const fields_;
    const size_t field_count_;
    immediate::immediate<bool>& on_;
    uint32_t id_ = 0;
    event_type* next_ = nullptr; // of control.hpp's
    bool is_known_ = false;
};

/// An event of that name, whose fields are types of field.hpp. All its functions are static.
template <internal::fixed_string Name, channel Channel, typename... Fields>
struct event {
    static_assert(ctf::is_identifier(Name.text), "the name of an event is an identifier of C");
    static_assert((ctf::is_identifier(Fields::description.name) && ...),
                  "the name of a field is an identifier of C");
    static_assert(sizeof...(Fields) <= 32, "an event has 32 fields at most");

    static constexpr ctf::field fields[sizeof...(Fields) + 1] = {Fields::description...,
                                                                 {"", ctf::kind::u8}};
    // Hidden: see marker/statement.hpp.
    [[gnu::visibility("hidden")]] static inline constinit immediate::immediate<bool> on{};
    [[gnu::visibility("hidden")]] static inline constinit event_type type{Name.text, fields,
                                                                          sizeof...(Fields), on};

    template <typename... Arguments>
    static consteval bool check() {
        constexpr bool fits_in_number = sizeof...(Arguments) == sizeof...(Fields);
        static_assert(fits_in_number, "an event takes as many arguments as it has fields");
        if constexpr (fits_in_number)
            static_assert((Fields::template takes<Arguments> && ...),
                          "an argument of an event does not fit its field: of another kind, or "
                          "larger");
        return true;
    }

    // Without optimisation each field has its own room for each call on the way, 64 bytes in all:
    // an event of 17, as a kprobe's is, takes 1,088 bytes of stack then.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wframe-larger-than="
    /// Writes the event, whether it is on or not. @return false: it is lost, and counted
    /// @context any
    [[gnu::noinline]] static bool record(typename Fields::argument... values) {
        context::preempt_disable();
        const bool is_recorded = write(Fields::prepare(values)...);
        context::preempt_enable_no_resched();
        return is_recorded;
    }
#pragma GCC diagnostic pop

    /// The same of arguments of any types that fit.
    template <typename... Arguments>
    [[NMISAFE_TRAP_INLINE]] static bool convert_and_record(Arguments... values) {
        return record(Fields::convert(values)...);
    }

  private:
    template <typename... Prepared>
    [[NMISAFE_TRAP_INLINE]] static bool write(const Prepared&... values) {
        const uint32_t size = (uint32_t{0} + ... + values.size());
        return internal::write_event(Channel, type.id(), size, [&](uint8_t* to) {
            ((to = values.write(to)), ...);
            static_cast<void>(to);
        });
    }
};

/// Whether an event is on, by a NOP that becomes a jump: for arguments that cost something.
///
///     if (tracer::is_on<packet>()) [[unlikely]]
///         tracer::record<packet>(count_all(), name_of(device));
/// @context any
template <typename Event>
[[NMISAFE_TRAP_INLINE]] inline bool is_on() {
    return immediate::branch<Event::on>();
}

/// Writes an event, whether it is on or not. @return false: it is lost, and counted @context any
template <typename Event, typename... Arguments>
[[NMISAFE_TRAP_INLINE]] inline bool record(Arguments... values) {
    static_assert(Event::template check<Arguments...>());
    return Event::convert_and_record(values...);
}

/// Writes an event if it is on: with the time, what the CPU is doing, and these values.
///
/// It never waits; an event that has no room is counted (ring_buffer). Arguments are evaluated in
/// any case, so they had better cost nothing: else is_on().
///
/// @context any, NMI included; not where a breakpoint must not be, because the handler of
/// breakpoints itself gets there before it has asked text_patch: trace_load()
template <typename Event, typename... Arguments>
[[NMISAFE_TRAP_INLINE]] inline void trace(Arguments... values) {
    static_assert(Event::template check<Arguments...>());
    if (immediate::branch<Event::on>()) [[unlikely]]
        Event::convert_and_record(values...);
}

/// The same without an immediate value: a flag is loaded and tested, so nothing is ever patched.
/// @context any
template <typename Event, typename... Arguments>
[[NMISAFE_TRAP_INLINE]] inline void trace_load(Arguments... values) {
    static_assert(Event::template check<Arguments...>());
    if (Event::on.stored()) [[unlikely]]
        Event::convert_and_record(values...);
}

} // namespace nmisafe::tracer
