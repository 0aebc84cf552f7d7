// SPDX-License-Identifier: MIT
// The hits, and what registrants call.
#include "nmisafe/marker/marker.hpp"

#include "nmisafe/context/count.hpp"
#include "nmisafe/marker/internal/hits.hpp"
#include "nmisafe/marker/internal/registration.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/platform/waiting.hpp"

namespace nmisafe::marker {

static_assert(platform::check_marker_contract<platform::contract>());

namespace internal {

constinit grace_periods periods{};

constinit const probe calls_none([](const marker&, void*, const arguments&) {}, nullptr);
constinit const probe calls_all(hits::call_all, nullptr);

/// The count is raised, if not by this hit: so the CPU stays the same.
void count_dropped() {
    __atomic_fetch_add(&platform::contract::this_cpu().dropped_hits, 1, __ATOMIC_RELAXED);
}

} // namespace internal

using base::expected;
using base::unexpected;
using internal::no_error;
using internal::periods;
using platform::contract;
using platform::waiting;

expected<const marker*, marker_error> register_probe(const char* channel, const char* name,
                                                     const char* format, probe& added) {
    registration mine;
    if (mine.error() != no_error)
        return unexpected(mine.error());
    const auto found = mine.find(channel, name, format);
    if (!found)
        return unexpected(found.error());
    if (const marker_error why = mine.add(**found, added); why != no_error)
        return unexpected(why);
    return *found;
}

namespace {

/// Whether other CPUs can be waited for. Where a kprobe stands in the way a marker may stay on; but
/// who unregisters in a handler would leave it on whatever stands there.
marker_error check_waiting() {
    const waiting where = platform::waiting_here();
    if (where == waiting::allowed)
        return no_error;
    return where == waiting::in_nmi ? marker_error::in_nmi : marker_error::cannot_synchronise;
}

} // namespace

expected<const marker*, marker_error> unregister_probe(probe& removed) {
    if (const marker_error why = check_waiting(); why != no_error)
        return unexpected(why);
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
    if (const marker_error why = check_waiting(); why != no_error)
        return unexpected(why);
    registration mine;
    if (mine.error() != no_error)
        return unexpected(mine.error());
    bool known = false;
    for (const marker& which : all_markers{}) {
        if (!internal::same(which.channel(), channel) || !internal::same(which.name(), name))
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

expected<size_t, marker_error> turn_off_idle() {
    registration mine;
    if (mine.error() != no_error)
        return unexpected(mine.error());
    if (const marker_error why = mine.turn_off_idle(); why != no_error)
        return unexpected(why);
    return size_t{0};
}

expected<uint32_t, marker_error> synchronise() {
    if (const marker_error why = check_waiting(); why != no_error)
        return unexpected(why);
    if (context::preempt_count() != 0) // this would wait for itself
        return unexpected(marker_error::cannot_synchronise);
    const uint32_t mine = __atomic_add_fetch(&periods.begun, 1, __ATOMIC_SEQ_CST);
    contract::wait_for_grace_period();
    uint32_t passed = __atomic_load_n(&periods.passed, __ATOMIC_RELAXED);
    while (static_cast<int32_t>(mine - passed) > 0 &&
           !__atomic_compare_exchange_n(&periods.passed, &passed, mine, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {
    }
    return mine;
}

void all_markers::iterator::skip() {
    for (;;) {
        while (entry_ != end_ && !is_listed(entry_))
            ++entry_;
        if (entry_ != end_)
            return;
        if (next_ == nullptr)
            break;
        entry_ = next_->begin;
        end_ = next_->end;
        next_ = __atomic_load_n(&next_->internal.next, __ATOMIC_ACQUIRE);
    }
    entry_ = nullptr;
    end_ = nullptr;
}

all_markers::iterator all_markers::begin() const {
    return iterator(__start_nmisafe_markers, __stop_nmisafe_markers,
                    __atomic_load_n(&internal::joined, __ATOMIC_ACQUIRE));
}

all_markers::iterator all_markers::end() const {
    return iterator(nullptr, nullptr, nullptr);
}

} // namespace nmisafe::marker
