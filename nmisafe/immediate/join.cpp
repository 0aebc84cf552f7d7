// SPDX-License-Identifier: MIT
// Tables come and go.
#include "nmisafe/immediate/join.hpp"

#include "nmisafe/immediate/internal/batch.hpp"
#include "nmisafe/immediate/internal/check.hpp"
#include "nmisafe/immediate/translate.hpp"

namespace nmisafe::immediate {

namespace {

using base::expected;
using base::unexpected;
using internal::all;
using text_patch::patch_error;

/// The pointer to the range in the list; null if it is not there.
site_range** find_link(const site_range& which) {
    site_range** link = &all.joined;
    while (*link != nullptr && *link != &which)
        link = &(*link)->next;
    return *link != nullptr ? link : nullptr;
}

size_t size_of(const site_range& range) {
    return static_cast<size_t>(range.end - range.begin);
}

/// Whether sites of other tables have keys in this one's data.
bool has_keys_of_others(const site_range& range) {
    bool found = false;
    internal::for_each_site([&](const site& where) {
        const bool is_own = &where >= range.begin && &where < range.end;
        found |= !is_own && range.data.holds(where.key_address(), 1);
    });
    return found;
}

} // namespace

expected<size_t, join_error> join(site_range& added) {
    internal::batch changes;
    if (changes.error() != patch_error{})
        return unexpected(translate<join_error>(changes.error()));
    if (find_link(added) != nullptr)
        return unexpected(join_error::joined_already);
    if (const join_error why = internal::check(added); why != join_error{})
        return unexpected(why);
    for (const site* where = added.begin; where != added.end; ++where)
        changes.add(*where, reinterpret_cast<const key*>(where->key_address())->bits);
    const auto changed = changes.apply();
    if (!changed)
        return unexpected(translate<join_error>(changed.error()));
    added.next = all.joined;
    all.joined = &added;
    __atomic_store_n(&all.joined_sites, all.joined_sites + size_of(added), __ATOMIC_RELAXED);
    return *changed;
}

expected<size_t, join_error> leave(site_range& gone) {
    const internal::batch nothing;
    if (nothing.error() != patch_error{})
        return unexpected(translate<join_error>(nothing.error()));
    site_range** const link = find_link(gone);
    if (link == nullptr)
        return unexpected(join_error::not_joined);
    if (has_keys_of_others(gone))
        return unexpected(join_error::keys_in_use);
    *link = gone.next;
    gone.next = nullptr;
    __atomic_store_n(&all.joined_sites, all.joined_sites - size_of(gone), __ATOMIC_RELAXED);
    return size_of(gone);
}

} // namespace nmisafe::immediate
