// SPDX-License-Identifier: MIT
// Lists of probes and rings of twins, as one thread at a time changes them.
#include "nmisafe/marker/internal/registration.hpp"

#include "nmisafe/immediate/translate.hpp"
#include "nmisafe/platform/waiting.hpp"

namespace nmisafe::marker {

namespace internal {
marker_range* joined;
}

using base::expected;
using base::unexpected;
using internal::no_error;
using internal::same;

namespace {

uint32_t busy; // there is a registration

/// Whether markers without probes may be on. Of the one registration that there is.
bool some_left_on;

/// The descriptors are writable; the table only shows them as const.
marker& writable(const marker& which) {
    return const_cast<marker&>(which);
}

/// Release: pairs with the acquires of hits.
void publish(probe*& link, probe* target) {
    __atomic_store_n(&link, target, __ATOMIC_RELEASE);
}

} // namespace

bool internal::same(const char* a, const char* b) {
    for (; *a == *b; ++a, ++b)
        if (*a == 0)
            return true;
    return false;
}

marker_error registration::acquire() {
    if (platform::waiting_here() == platform::waiting::in_nmi)
        return marker_error::in_nmi;
    if (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE) != 0)
        return marker_error::busy;
    return no_error;
}

registration::registration() : error_(acquire()), left_on_(error_ == no_error && some_left_on) {}

registration::~registration() {
    if (error_ != no_error)
        return;
    if (left_on_)
        turn_off_idle();
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

expected<marker*, marker_error> registration::find(const char* channel, const char* name,
                                                   const char* format) {
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

// --- probes -------------------------------------------------------------------------------------

/// All twins at one instant, or none.
marker_error registration::turn(marker& which, bool on) {
    const auto patched = immediate::set_together([&](auto change) {
        for_each_twin(which, [&](marker& one) { change(one.on_.as_key(), on); });
    });
    return patched ? no_error : immediate::translate<marker_error>(patched.error());
}

void registration::set_first(marker& which, probe* first) {
    for_each_twin(which, [=](marker& one) { publish(one.first_, first); });
}

void registration::set_arm_count(marker& which, uint32_t count) {
    for_each_twin(which, [=](marker& one) {
        __atomic_store_n(&one.arm_count_, count, __ATOMIC_RELAXED);
        set_hit(one);
    });
}

/// After each change of a list: what hits call from here on.
void registration::set_hit(marker& which) {
    const probe* const first = which.first_;
    const probe* const hit = first == nullptr          ? &internal::calls_none
                             : first->next_ == nullptr ? first
                                                       : &internal::calls_all;
    __atomic_store_n(&which.hit_, hit, __ATOMIC_RELEASE);
}

/// The marker is turned on before the probe is in the list: when that fails, nobody can have seen
/// the probe. A statement that finds the list empty calls nothing.
marker_error registration::add(marker& which, probe& added) {
    if (added.marker_ != nullptr || added.retirement_.is_under_way())
        return marker_error::probe_in_use;
    if (which.arm_count_ == 0)
        if (const marker_error why = turn(which, true); why != no_error)
            return why;
    added.next_ = nullptr;
    added.marker_ = &which;
    added.retirement_.end();
    probe* last = which.first_;
    while (last != nullptr && last->next_ != nullptr)
        last = last->next_;
    if (last == nullptr)
        set_first(which, &added);
    else
        publish(last->next_, &added);
    set_arm_count(which, which.arm_count_ + 1);
    return no_error;
}

/// Whatever the sites allow, the probe goes: who unregisters is about to give its memory up, and a
/// statement that is on and finds the list empty calls nothing.
marker_error registration::remove(probe& removed) {
    if (removed.marker_ == nullptr)
        return marker_error::not_registered;
    marker& which = *removed.marker_;
    if (which.first_ == &removed) {
        set_first(which, removed.next_);
    } else {
        probe* before = which.first_;
        while (before->next_ != &removed)
            before = before->next_;
        publish(before->next_, removed.next_);
    }
    set_arm_count(which, which.arm_count_ - 1);
    removed.marker_ = nullptr;
    removed.retirement_.begin();
    if (which.arm_count_ == 0 && turn(which, false) != no_error)
        some_left_on = true;
    return no_error;
}

/// Each for itself: one that cannot be turned off is no reason for the others to stay on.
marker_error registration::turn_off_idle() {
    marker_error first = no_error;
    for (const marker& one : all_markers{}) {
        if (one.arm_count_ != 0)
            continue;
        const marker_error why = turn(writable(one), false); // nothing to do if it is off
        if (first == no_error)
            first = why;
    }
    some_left_on = first != no_error;
    left_on_ = false;
    return first;
}

probe* registration::find_probe(const marker& which, probe_function function,
                                const void* private_data) {
    probe* one = which.first_;
    while (one != nullptr && (one->function_ != function || one->private_data_ != private_data))
        one = one->next_;
    return one;
}

// --- twins --------------------------------------------------------------------------------------

marker* registration::find_same(const marker& which) {
    for (const marker& one : all_markers{})
        if (&one != &which && same(one.channel(), which.channel()) &&
            same(one.name(), which.name()) && same(one.format(), which.format()))
            return &writable(one);
    return nullptr;
}

marker_error registration::turn_like_twins(const marker_range& added) {
    const auto patched = immediate::set_together([&](auto change) {
        for (const int32_t* entry = added.begin; entry != added.end; ++entry) {
            auto& one = *reinterpret_cast<marker*>(internal::address_of(entry));
            const marker* const known = find_same(one);
            change(one.on_.as_key(), known != nullptr && known->arm_count_ != 0);
        }
    });
    return patched ? no_error : immediate::translate<marker_error>(patched.error());
}

void registration::hide(marker& added) {
    added.is_listed_ = false;
    added.twin_ = nullptr;
    added.arm_count_ = 0;
    publish(added.first_, nullptr);
    set_hit(added);
}

void registration::link(marker& added) {
    marker* const known = find_same(added);
    if (known == nullptr) {
        added.is_listed_ = true;
        return;
    }
    added.twin_ = known->twin_ != nullptr ? known->twin_ : known;
    known->twin_ = &added;
    __atomic_store_n(&added.arm_count_, known->arm_count_, __ATOMIC_RELAXED);
    publish(added.first_, known->first_);
    set_hit(added);
}

bool registration::points_into(const probe& one, const marker_range& image) {
    const auto holds = [&](uintptr_t address) {
        return image.code.holds(address, 1) || image.data.holds(address, 1) ||
               image.constants.holds(address, 1);
    };
    return holds(reinterpret_cast<uintptr_t>(&one)) ||
           holds(reinterpret_cast<uintptr_t>(one.function_)) ||
           holds(reinterpret_cast<uintptr_t>(one.private_data_));
}

/// A probe that is taken out keeps its successor: the way through the list goes on.
size_t registration::evict(const marker_range& image) {
    size_t evicted = 0;
    for (const marker& which : all_markers{})
        for (probe* one = which.first_; one != nullptr; one = one->next_)
            if (points_into(*one, image))
                evicted += remove(*one) == no_error;
    return evicted;
}

size_t registration::unlink(marker& gone) {
    probe* one = gone.first_;
    marker* const other = gone.twin_;
    if (other != nullptr) {
        marker* before = other;
        while (before->twin_ != &gone)
            before = before->twin_;
        before->twin_ = before != other ? other : nullptr;
        other->is_listed_ |= gone.is_listed_;
        gone.twin_ = nullptr;
    }
    publish(gone.first_, nullptr);
    set_hit(gone);
    __atomic_store_n(&gone.arm_count_, 0, __ATOMIC_RELAXED);
    size_t unregistered = 0;
    for (; one != nullptr; one = one->next_) {
        if (other == nullptr) {
            one->marker_ = nullptr;
            one->retirement_.begin();
            ++unregistered;
        } else if (one->marker_ == &gone) {
            one->marker_ = other;
        }
    }
    return unregistered;
}

} // namespace nmisafe::marker
