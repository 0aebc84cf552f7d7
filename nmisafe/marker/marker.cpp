// SPDX-License-Identifier: MIT
// The probes of the markers: called by any context, changed by one thread at a time.
#include "nmisafe/marker/marker.hpp"

#include "nmisafe/context/count.hpp"
#include "nmisafe/platform/contract.hpp"

// Weak: a program may have no marker at all.
extern "C" [[gnu::weak]] const int32_t __start_nmisafe_markers[];
extern "C" [[gnu::weak]] const int32_t __stop_nmisafe_markers[];

namespace nmisafe::marker {

static_assert(platform::check_marker_contract<platform::contract>());

using base::expected;
using base::unexpected;
using platform::contract;

namespace {

using text_patch::patch_error;

constexpr marker_error no_error{};

uint32_t busy;          // a registration is at work
uint32_t periods_begun; // grace periods
uint32_t periods_passed;

bool same(const char* a, const char* b) {
    for (; *a == *b; ++a, ++b)
        if (*a == 0)
            return true;
    return false;
}

bool in_nmi() {
    return contract::this_cpu().nmi_in_progress != 0;
}

marker_error translate(patch_error why) {
    switch (why) {
    case patch_error::in_nmi:
        return marker_error::in_nmi;
    case patch_error::cannot_synchronise:
        return marker_error::cannot_synchronise;
    case patch_error::busy:
        return marker_error::busy;
    case patch_error::no_room:
        return marker_error::no_room;
    default:
        return marker_error::not_patched;
    }
}

/// The descriptors are writable; the table only shows them as const.
marker& writable(const marker& which) {
    return const_cast<marker&>(which);
}

expected<marker*, marker_error> find(const char* channel, const char* name, const char* format) {
    marker* found = nullptr;
    bool other_format = false;
    for (const marker& one : all_markers{}) {
        if (!same(one.channel(), channel) || !same(one.name(), name))
            continue;
        if (format != nullptr && !same(one.format(), format)) {
            other_format = true;
            continue;
        }
        if (found != nullptr && found != &one)
            return unexpected(marker_error::ambiguous);
        found = &writable(one);
    }
    if (found != nullptr)
        return found;
    return unexpected(other_format ? marker_error::format_mismatch : marker_error::no_marker);
}

} // namespace

/// The right to change lists of probes, from construction to destruction, if error() says so.
class registration {
  public:
    registration() : error_(acquire()) {}
    ~registration() {
        if (error_ == no_error)
            __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
    }
    registration(const registration&) = delete;
    registration& operator=(const registration&) = delete;

    marker_error error() const { return error_; }

    /// The marker is turned on before the probe is in the list: when that fails, nobody can have
    /// seen the probe. A statement that finds the list empty calls nothing.
    marker_error add(marker& which, probe& added) {
        if (is_in_use(added))
            return marker_error::probe_in_use;
        if (which.arm_count_ == 0)
            if (const marker_error why = turn(which, true); why != no_error)
                return why;
        added.next_ = nullptr;
        added.marker_ = &which;
        added.retired_ = false;
        publish(*find_link(which, nullptr), &added);
        __atomic_store_n(&which.arm_count_, which.arm_count_ + 1, __ATOMIC_RELAXED);
        return no_error;
    }

    /// The other way round: when the marker cannot be turned off, the probe stays in the list.
    marker_error remove(probe& removed) {
        if (removed.marker_ == nullptr)
            return marker_error::not_registered;
        marker& which = *removed.marker_;
        if (which.arm_count_ == 1)
            if (const marker_error why = turn(which, false); why != no_error)
                return why;
        publish(*find_link(which, &removed), removed.next_);
        __atomic_store_n(&which.arm_count_, which.arm_count_ - 1, __ATOMIC_RELAXED);
        removed.marker_ = nullptr;
        removed.retired_ = true;
        removed.retired_at_ = __atomic_load_n(&periods_begun, __ATOMIC_SEQ_CST);
        return no_error;
    }

    /// The probe of a marker that is made of the two, or null.
    probe* find_probe(const marker& which, probe_function function, const void* private_data) {
        probe* one = which.first_;
        while (one != nullptr && (one->function_ != function || one->private_data_ != private_data))
            one = one->next_;
        return one;
    }

  private:
    static marker_error acquire() {
        if (in_nmi())
            return marker_error::in_nmi;
        if (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE) != 0)
            return marker_error::busy;
        return no_error;
    }

    /// A probe that was taken out may still be called, and its next_ be followed, until a grace
    /// period has passed that began afterwards.
    static bool is_in_use(const probe& one) {
        if (one.marker_ != nullptr)
            return true;
        const uint32_t passed = __atomic_load_n(&periods_passed, __ATOMIC_ACQUIRE);
        return one.retired_ && static_cast<int32_t>(passed - one.retired_at_) <= 0;
    }

    static marker_error turn(marker& which, bool on) {
        const auto patched = immediate::set(which.on_, on);
        return patched ? no_error : translate(patched.error());
    }

    /// The pointer to `target` in the list; to its end for null.
    static probe** find_link(marker& which, const probe* target) {
        probe** link = &which.first_;
        while (*link != target)
            link = &(*link)->next_;
        return link;
    }

    /// Release: pairs with the acquire in marker::run().
    static void publish(probe*& link, probe* target) {
        __atomic_store_n(&link, target, __ATOMIC_RELEASE);
    }

    marker_error error_;
};

void marker::run(const uint64_t* values) const {
    // The section that a grace period waits for. It begins before the list is looked at.
    context::preempt_disable();
    const arguments all(types_, values, count_);
    for (const probe* one = __atomic_load_n(&first_, __ATOMIC_ACQUIRE); one != nullptr;
         one = __atomic_load_n(&one->next_, __ATOMIC_ACQUIRE))
        one->function_(*this, one->private_data_, all);
    context::preempt_enable_no_resched();
}

expected<const marker*, marker_error> register_probe(const char* channel, const char* name,
                                                     const char* format, probe& added) {
    const auto found = find(channel, name, format);
    if (!found)
        return unexpected(found.error());
    registration mine;
    if (mine.error() != no_error)
        return unexpected(mine.error());
    if (const marker_error why = mine.add(**found, added); why != no_error)
        return unexpected(why);
    return *found;
}

expected<const marker*, marker_error> unregister_probe(probe& removed) {
    registration mine;
    if (mine.error() != no_error)
        return unexpected(mine.error());
    const marker* const which = removed.registered_with();
    if (const marker_error why = mine.remove(removed); why != no_error)
        return unexpected(why);
    return which;
}

expected<probe*, marker_error> unregister_probe(const char* channel, const char* name,
                                                probe_function function, void* private_data) {
    registration mine;
    if (mine.error() != no_error)
        return unexpected(mine.error());
    bool known = false;
    for (const marker& which : all_markers{}) {
        if (!same(which.channel(), channel) || !same(which.name(), name))
            continue;
        known = true;
        probe* const removed = mine.find_probe(which, function, private_data);
        if (removed == nullptr)
            continue;
        if (const marker_error why = mine.remove(*removed); why != no_error)
            return unexpected(why);
        return removed;
    }
    return unexpected(known ? marker_error::not_registered : marker_error::no_marker);
}

expected<uint32_t, marker_error> synchronise() {
    if (in_nmi())
        return unexpected(marker_error::in_nmi);
    // With the count raised this would wait for itself.
    if (context::preempt_count() != 0 || !contract::may_synchronise())
        return unexpected(marker_error::cannot_synchronise);
    const uint32_t mine = __atomic_add_fetch(&periods_begun, 1, __ATOMIC_SEQ_CST);
    contract::wait_for_grace_period();
    uint32_t passed = __atomic_load_n(&periods_passed, __ATOMIC_RELAXED);
    while (static_cast<int32_t>(mine - passed) > 0 &&
           !__atomic_compare_exchange_n(&periods_passed, &passed, mine, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {
    }
    return mine;
}

all_markers::iterator all_markers::begin() const {
    return iterator(__start_nmisafe_markers);
}

all_markers::iterator all_markers::end() const {
    return iterator(__stop_nmisafe_markers);
}

} // namespace nmisafe::marker
