// SPDX-License-Identifier: MIT
// Finds the nearest address below another one, among those that probes have: a treap through the
// probes themselves. For those who insert and remove, one at a time; no breakpoint handler reads
// it. [Aragon, Seidel: Randomized search trees, 1989]
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::kprobe {
struct probe;
}

namespace nmisafe::kprobe::internal {

struct ordered {
    uintptr_t key;
    const probe* owner;
    ordered* lower;
    ordered* higher;
};

/// Equal addresses may be in it: those are ordered by where they stand.
class address_order {
  public:
    /// @context thread
    void add(ordered& what, uintptr_t key, const probe& owner) {
        what.key = key;
        what.owner = &owner;
        ordered** at = &root_;
        while (*at != nullptr && priority(**at) >= priority(what))
            at = &side(**at, what);
        // What was there is divided into what is below and what is above.
        ordered* rest = *at;
        *at = &what;
        ordered** lower = &what.lower;
        ordered** higher = &what.higher;
        while (rest != nullptr) {
            ordered**& end = is_before(*rest, what) ? lower : higher;
            *end = rest;
            end = &side(*rest, what);
            rest = *end;
        }
        *lower = *higher = nullptr;
    }

    /// `what` is in it. @context thread
    void take_out(const ordered& what) {
        ordered** at = &root_;
        while (*at != &what)
            at = &side(**at, what);
        ordered* lower = what.lower;
        ordered* higher = what.higher;
        while (lower != nullptr && higher != nullptr) {
            const bool lower_first = priority(*lower) >= priority(*higher);
            ordered*& first = lower_first ? lower : higher;
            *at = first;
            at = lower_first ? &first->higher : &first->lower;
            first = *at;
        }
        *at = lower != nullptr ? lower : higher;
    }

    /// The last one below `limit`, or nullptr. @context thread
    const ordered* last_before(uintptr_t limit) const {
        const ordered* found = nullptr;
        for (const ordered* at = root_; at != nullptr;) {
            if (at->key < limit)
                found = at;
            at = at->key < limit ? at->higher : at->lower;
        }
        return found;
    }

  private:
    static bool is_before(const ordered& one, const ordered& other) {
        return one.key != other.key ? one.key < other.key : &one < &other;
    }
    /// Where to go on from `at` to where `what` belongs.
    static ordered*& side(ordered& at, const ordered& what) {
        return is_before(at, what) ? at.higher : at.lower;
    }
    /// By chance, as it were: so the depth is logarithmic whatever the order of insertion.
    static uint32_t priority(const ordered& what) {
        const auto key = static_cast<uint32_t>(what.key) * 0x9e3779b1u;
        return (key ^ key >> 15) * 0x85ebca77u;
    }

    ordered* root_;
};

} // namespace nmisafe::kprobe::internal
