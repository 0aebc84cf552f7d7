// SPDX-License-Identifier: MIT
#include "nmisafe/tracer/control.hpp"

#include "nmisafe/immediate/translate.hpp"
#include "nmisafe/platform/waiting.hpp"
#include "nmisafe/tracer/internal/state.hpp"

namespace nmisafe::tracer {

using base::expected;
using base::unexpected;
using internal::same;

namespace {

constexpr ctf::field opening_fields[] = {{"tid", ctf::kind::i32}};

bool same_type(const ctf::found_event& known, const ctf::event& wanted) {
    if (known.field_count != wanted.field_count || !same(known.name, wanted.name))
        return false;
    for (size_t i = 0; i < wanted.field_count; ++i)
        if (known.fields[i].type != wanted.fields[i].type ||
            known.fields[i].shown != wanted.fields[i].shown ||
            !same(known.fields[i].name, wanted.fields[i].name))
            return false;
    return true;
}

/// Too large for a stack. Of the one control that there is.
constinit ctf::found_event looked_at{};

} // namespace

constinit control::all_patterns control::wanted{};
trace_descriptor::descriptor* control::into_;
uint32_t control::next_id_;
event_type* control::first_;
uint32_t control::busy_;

control::control(bool is_set_up) : error_(no_error) {
    if (platform::waiting_here() == platform::waiting::in_nmi)
        error_ = tracer_error::in_nmi;
    else if (__atomic_exchange_n(&busy_, 1, __ATOMIC_ACQUIRE) != 0)
        error_ = tracer_error::busy;
    else if (is_set_up != (into_ != nullptr)) {
        error_ = tracer_error::not_set_up;
        __atomic_store_n(&busy_, 0, __ATOMIC_RELEASE);
    }
}

control::~control() {
    if (error_ == no_error)
        __atomic_store_n(&busy_, 0, __ATOMIC_RELEASE);
}

tracer_error control::begin(trace_descriptor::descriptor& into) {
    into_ = &into;
    next_id_ = internal::packet_opening::event_id;
    const auto number = number_of("packet_state", opening_fields, 1);
    if (number)
        return no_error;
    into_ = nullptr;
    return number.error();
}

expected<uint32_t, tracer_error> control::number_of(const char* name, const ctf::field* fields,
                                                    size_t field_count) {
    const ctf::event wanted_type(next_id_, name, fields, field_count);
    if (!wanted_type.is_good())
        return unexpected(tracer_error::bad_name);
    auto* const table = const_cast<uint8_t*>(trace_descriptor::types_of(*into_));
    const uint8_t* at = table;
    while (ctf::next_event(at, table + into_->type_length, looked_at))
        if (same_type(looked_at, wanted_type))
            return looked_at.id;
    if (!ctf::append(table, into_->type_capacity, into_->type_length, wanted_type))
        return unexpected(tracer_error::no_room);
    return next_id_++;
}

expected<size_t, tracer_error> control::add(event_type& added) {
    if (added.is_known_)
        return unexpected(tracer_error::known_already);
    const auto number = number_of(added.name_, added.fields_, added.field_count_);
    if (!number)
        return unexpected(number.error());
    // Before it can be on: nobody writes it without a number.
    __atomic_store_n(&added.id_, *number, __ATOMIC_RELAXED);
    const auto patched = immediate::set(added.on_, wanted.wants("", added.name_));
    if (!patched)
        return unexpected(immediate::translate<tracer_error>(patched.error()));
    added.is_known_ = true;
    added.next_ = first_;
    first_ = &added;
    return size_t{*number};
}

expected<size_t, tracer_error> control::remove(event_type& removed) {
    for (event_type** link = &first_; *link != nullptr; link = &(*link)->next_) {
        if (*link != &removed)
            continue;
        *link = removed.next_;
        removed.is_known_ = false;
        return size_t{removed.id_};
    }
    return unexpected(tracer_error::not_known);
}

size_t control::evict(const base::address_range& data) {
    size_t count = 0;
    for (event_type** link = &first_; *link != nullptr;) {
        event_type& one = **link;
        const auto begin = reinterpret_cast<uintptr_t>(&one);
        if (!data.overlaps({begin, begin + sizeof one})) {
            link = &one.next_;
            continue;
        }
        *link = one.next_;
        one.is_known_ = false;
        ++count;
    }
    return count;
}

expected<size_t, tracer_error> control::turn(const char* pattern, bool on) {
    if (!all_patterns::is_short(pattern))
        return unexpected(tracer_error::bad_pattern);
    if (!wanted.has_room("", pattern))
        return unexpected(tracer_error::no_room);
    size_t count = 0;
    const auto patched = immediate::set_together([&](auto change) {
        count = 0;
        for (event_type* one = first_; one != nullptr; one = one->next_) {
            if (!internal::matches(pattern, one->name_))
                continue;
            change(one->on_.as_key(), on);
            ++count;
        }
    });
    if (!patched)
        return unexpected(immediate::translate<tracer_error>(patched.error()));
    wanted.remember("", pattern, on);
    return count;
}

expected<size_t, tracer_error> set_up(trace_descriptor::descriptor& into) {
    control mine(false);
    tracer_error why = mine.error();
    if (why == control::no_error)
        why = mine.begin(into);
    if (why != control::no_error)
        return unexpected(why);
    return size_t{0};
}

expected<size_t, tracer_error> add(event_type& added) {
    return with_control([&](control& mine) { return mine.add(added); });
}

expected<size_t, tracer_error> remove(event_type& removed) {
    return with_control([&](control& mine) { return mine.remove(removed); });
}

expected<size_t, tracer_error> evict(const base::address_range& data) {
    control mine;
    if (mine.error() == tracer_error::not_set_up)
        return size_t{0};
    if (mine.error() != control::no_error)
        return unexpected(mine.error());
    return mine.evict(data);
}

expected<size_t, tracer_error> enable(const char* pattern) {
    return with_control([&](control& mine) { return mine.turn(pattern, true); });
}

expected<size_t, tracer_error> disable(const char* pattern) {
    return with_control([&](control& mine) { return mine.turn(pattern, false); });
}

} // namespace nmisafe::tracer
