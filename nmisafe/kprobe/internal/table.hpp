// SPDX-License-Identifier: MIT
// Finds the probe of an address: chains through the probes themselves, hashed.
//
//   who changes it              who reads it
//   insert(), remove() and      breakpoint handlers, on any CPU, at any time
//   release(), one at a time
//
// A reader may be on a link while it is taken out. It goes on behind it then, and finds all that
// was there and stays. Only when the link has been put elsewhere meanwhile may it miss something:
// that shows in `changes`.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/base/uninstrumented.hpp"
#include "nmisafe/kprobe/internal/address_order.hpp"
#include "nmisafe/kprobe/internal/step.hpp"

namespace nmisafe::kprobe {
struct probe;
}

namespace nmisafe::kprobe::internal {

struct link {
    uintptr_t key;
    probe* owner;
    link* next;
};

class table {
  public:
    /// @context any
    [[NMISAFE_TRAP_INLINE]] probe* find(uintptr_t key) const {
        const link* at = __atomic_load_n(&buckets_[bucket(key)], __ATOMIC_ACQUIRE);
        while (at != nullptr && at->key != key)
            at = __atomic_load_n(&at->next, __ATOMIC_ACQUIRE);
        return at != nullptr ? at->owner : nullptr;
    }

    /// @context thread
    void add(link& what, uintptr_t key, probe& owner) {
        link*& first = buckets_[bucket(key)];
        what.key = key;
        what.owner = &owner;
        what.next = first;
        __atomic_store_n(&first, &what, __ATOMIC_RELEASE); // pairs with the loads in find()
    }

    /// `what` is in the table. Its own words stay, for readers that are on it. @context thread
    void take_out(const link& what) {
        link** at = &buckets_[bucket(what.key)];
        while (*at != &what)
            at = &(*at)->next;
        __atomic_store_n(at, what.next, __ATOMIC_RELEASE);
    }

    /// Nobody changes the table meanwhile. @context thread
    template <typename Visit>
    void for_each(Visit visit) const {
        for (const link* at : buckets_)
            for (; at != nullptr; at = at->next)
                visit(*at->owner);
    }

  private:
    static constexpr size_t bucket_count = 256;

    /// The low bits tell instructions of a function apart, the others slots.
    [[NMISAFE_TRAP_INLINE]] static constexpr size_t bucket(uintptr_t key) {
        return (key ^ key >> 5 ^ key >> 13) % bucket_count;
    }

    link* buckets_[bucket_count];
};

/// What a probe is in the table of sites by.
struct site_link : link {
    ordered place;
    ordered middle;    // a boundary on the way from `function` to the instruction
    uintptr_t between; // where `middle` will be: set by check()
};

/// Knows the sites in their order too, and boundaries between them. They stay what they are while
/// the probe is there: so nobody decodes twice what lies before one. Each half of what has been
/// decoded is decoded from its own begin next time: n probes cost n log n instructions in any
/// order, and in that of their addresses 2 n.
class site_table : public table {
  public:
    /// @context thread
    void add(site_link& what, uintptr_t address, probe& owner) {
        table::add(what, address, owner);
        places_.add(what.place, address, owner);
        middles_.add(what.middle, what.between, owner);
    }
    /// @context thread
    void take_out(const site_link& what) {
        table::take_out(what);
        places_.take_out(what.place);
        middles_.take_out(what.middle);
    }
    /// The last one whose instruction begins below `limit`, or nullptr. @context thread
    const probe* last_before(uintptr_t limit) const {
        const ordered* const found = places_.last_before(limit);
        return found != nullptr ? found->owner : nullptr;
    }
    /// Where to begin to decode, for a probe at `address` of a function. @context thread
    uintptr_t boundary_before(uintptr_t function, uintptr_t address) const;

  private:
    address_order places_;
    address_order middles_;
};

struct tables {
    site_table sites; // by the address of the instruction
    table slots;      // by the begin of the slot
    uint32_t changes; // of either table: counted after what is added, before what is taken out
};

extern tables all;

enum class state : uint8_t { idle, inserted, removed };

/// What a probe has besides what its user sees. `now` and `step` change only while no CPU can find
/// the probe.
struct probe_data {
    site_link site;
    link slot;
    internal::step step;
    uint8_t first_byte; // of the instruction, where INT3 stands
    state now;
    uint32_t armed;   // handlers may be called: cleared by remove()
    uint32_t running; // handlers that are being called: remove() waits for them
};

} // namespace nmisafe::kprobe::internal
