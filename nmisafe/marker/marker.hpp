// SPDX-License-Identifier: MIT
/// Markers and their probes. The statements that are markers are in statement.hpp.
///
///     void on_packet(const marker::marker& which, void* private_data,
///                    const marker::arguments& values);
///     constinit marker::probe counter(on_packet, &packets);
///
///     const auto on = marker::register_probe("net", "packet", "len %u flags %x", counter);
///     ...
///     const auto off = marker::unregister_probe(counter);
///     const auto done = marker::synchronise();   // from here on on_packet() is not called
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/marker/argument.hpp"
#include "nmisafe/marker/internal/retirement.hpp"

namespace nmisafe::marker {

class probe;
struct marker_range;

namespace internal {

extern const probe calls_none; ///< Calls nothing.
extern const probe calls_all;  ///< Calls all probes of the list.

/// Counts a hit that is one too many. @context any
void count_dropped();

} // namespace internal

/// Of all these only `busy` passes by itself: whoever gets it may try again, as often as it takes.
enum class marker_error : uint8_t {
    no_marker = 1,      ///< The program has no marker of that channel and name.
    format_mismatch,    ///< It has, but none with that format. Nothing was turned on.
    ambiguous,          ///< No format was given, and there are markers with different ones.
    probe_in_use,       ///< Registered, or unregistered and synchronise() has not come to pass yet.
    not_registered,     ///< There is no such probe.
    in_nmi,             ///< Asked for in an NMI handler.
    cannot_synchronise, ///< Interrupts off, or in a section that would be waited for.
    busy,               ///< Another registration, or another patcher, is at work. Try again.
    no_room,            ///< More sites than immediate::use_workspace() has made room for.
    not_patched,        ///< A site could not be patched, because a probe stands on it, say.
    range_in_use,       ///< Joined, or left and synchronise() has not come to pass yet.
    not_joined,         ///< There is no such range.
    bad_table,          ///< No whole number of aligned entries, more than the data has room for, or
                        ///< memory that is another table's, or that should not overlap and does.
    bad_marker,         ///< An entry, or what it names, is not what the compiler makes (README.md).
};

/// Called for each hit, in the context of the hit: any, NMI included. It may then take no lock that
/// code it can interrupt takes. The preempt count is raised. It may hit markers, its own too, but
/// gets no further than seven hits under way on a CPU: cpu_state::dropped_hits counts the others.
using probe_function = void (*)(const marker& which, void* private_data, const arguments& values);

/// A function with its private pointer, to be registered with one marker. Owned by the registrant:
/// it must stay until synchronise() after its unregistration has returned, resident or where a page
/// fault brings it in any context (nmisafe/vmalloc).
class probe {
  public:
    constexpr probe(probe_function function, void* private_data)
        : function_(function), private_data_(private_data) {}
    probe(const probe&) = delete;
    probe& operator=(const probe&) = delete;

    /// The marker it is registered with, or null. @context thread
    const marker* registered_with() const { return marker_; }

  private:
    friend class hits;
    friend class registration;
    friend struct layout_of_c;

    const probe_function function_;
    void* const private_data_;
    probe* next_ = nullptr;    // kept when unregistered: somebody may be standing here
    marker* marker_ = nullptr; // of the registering side, as all below
    internal::retirement retirement_{};
};

/// A marker: all statements with the same channel, name and format. Images that are linked apart
/// and have joined have one object each: twins, which share their probes.
///
/// Who may run with whom: any number of hits with each other and with anything; of what changes the
/// list there is one at a time (marker.cpp). A hit calls one probe: the only one that there is, or
/// one of the library's that calls all in the list, or none. That is published by one store of a
/// pointer, to a probe that is complete, and a probe taken out of the list keeps its successor: so
/// a hit sees the probes before or after a change, whenever it looks, and never waits.
class marker {
  public:
    constexpr marker(const char* channel, const char* name, const char* format,
                     const argument_type* types, uint8_t count, immediate::immediate<bool>& on)
        : channel_(channel), name_(name), format_(format), types_(types), count_(count), on_(on) {}
    marker(const marker&) = delete;
    marker& operator=(const marker&) = delete;

    // @context any, up to arm_count()
    const char* channel() const { return channel_; }
    const char* name() const { return name_; }
    const char* format() const { return format_; }
    size_t argument_count() const { return count_; }
    argument_type argument(size_t index) const { return types_[index]; }

    /// Whether its statements do anything: also, after an unregistration that could not turn
    /// them off, without any.
    bool is_on() const { return on_.stored(); }

    /// Probes registered. A marker is on while there are any, and maybe a while longer.
    uint32_t arm_count() const { return __atomic_load_n(&arm_count_, __ATOMIC_RELAXED); }

  private:
    friend class hits;
    friend class registration;
    friend class range_check;
    friend class all_markers;
    friend struct layout_of_c;

    const char* const channel_;
    const char* const name_;
    const char* const format_;
    const argument_type* const types_;
    const uint8_t count_;
    immediate::immediate<bool>& on_;
    const probe* hit_ =
        &internal::calls_none; // what a hit calls; the same in all twins, as all below
    // Of the registering side, but for first_.
    uint32_t arm_count_ = 0;
    probe* first_ = nullptr;
    marker* twin_ = nullptr; // the next in a ring of them; null: there are none
    bool is_listed_ = true;  // of twins one is: all_markers leaves the others out
};

inline size_t arguments::size() const {
    return which_->argument_count();
}

inline argument arguments::operator[](size_t index) const {
    if (index >= size())
        __builtin_trap();
    return {which_->argument(index), reinterpret_cast<const uint64_t*>(this + 1)[index]};
}

/// Registers a probe with the marker of that channel, name and format, and turns the marker on if
/// it is the first. A null format takes the marker whatever its format, so the probe has to look at
/// the types. With an error nothing has changed. @return the marker.
/// @context thread, interrupts on
base::expected<const marker*, marker_error> register_probe(const char* channel, const char* name,
                                                           const char* format, probe& added);

/// Takes a probe from its marker, and turns the marker off if it was the last. Hits that have begun
/// may still call it: synchronise() waits for them.
///
/// It does not depend on a patch: where a site cannot be changed, because a kprobe stands on it,
/// the probe goes all the same. The marker is then on without probes, which costs a call for each
/// hit and is otherwise as off, until the next registration, unregistration, join() or leave() that
/// finds the sites free, or turn_off_idle(). With an error (`in_nmi`, `cannot_synchronise`, `busy`,
/// `not_registered`) nothing has changed. @return the marker. @context thread, interrupts on
base::expected<const marker*, marker_error> unregister_probe(probe& removed);

/// The same for who knows the probe by what it was made of. @return the probe.
base::expected<probe*, marker_error> unregister_probe(const char* channel, const char* name,
                                                      probe_function function, void* private_data);

/// Turns all markers off that have no probes and are still on: for who has just taken off what kept
/// them from it, a kprobe. Whoever does not call this only has them on for longer. Errors as
/// register_probe()'s, `not_patched` if there is one that cannot be turned off. @return 0.
/// @context thread, interrupts on
base::expected<size_t, marker_error> turn_off_idle();

/// Returns when every probe that was unregistered before the call has returned from its last call,
/// on all CPUs: their memory is the registrant's again. Waits for one grace period of the platform,
/// for any number of probes. @return the number of grace periods so far.
/// @context thread, interrupts on, preempt count 0; not from a probe
base::expected<uint32_t, marker_error> synchronise();

/// All markers of the program and of what has joined it, each once, in no particular order.
///
/// Also while register_probe(), join() and leave() are at work, if who goes through them is not
/// preempted: in NMI, or between preempt_disable() and preempt_enable_no_resched(). Then a range
/// that joins or leaves is seen or is not, but its memory stays; a marker of several images, one of
/// which is leaving, may be listed twice or not. Who keeps leave() away needs none of that.
/// @context any
class all_markers {
  public:
    class iterator {
      public:
        iterator(const int32_t* entry, const int32_t* end, const marker_range* next)
            : entry_(entry), end_(end), next_(next) {
            skip();
        }
        const marker& operator*() const { return marker_of(entry_); }
        iterator& operator++() {
            ++entry_;
            skip();
            return *this;
        }
        bool operator==(const iterator&) const = default;

      private:
        /// To the next entry that is listed, in this table or one behind it; all null at the end.
        void skip();

        const int32_t* entry_;
        const int32_t* end_;
        const marker_range* next_;
    };

    iterator begin() const;
    iterator end() const;

  private:
    static const marker& marker_of(const int32_t* entry) {
        return *reinterpret_cast<const marker*>(reinterpret_cast<uintptr_t>(entry) +
                                                static_cast<uintptr_t>(intptr_t{*entry}));
    }
    static bool is_listed(const int32_t* entry) { return marker_of(entry).is_listed_; }
};

} // namespace nmisafe::marker
