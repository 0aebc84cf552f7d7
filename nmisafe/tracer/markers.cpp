// SPDX-License-Identifier: MIT
#include "nmisafe/tracer/markers.hpp"

#include "nmisafe/tracer/internal/marker_type.hpp"
#include "nmisafe/tracer/internal/state.hpp"
#include "nmisafe/tracer/internal/write.hpp"

namespace nmisafe::tracer {

using base::expected;
using base::unexpected;
using internal::same;

namespace {

marker_event* storage;
size_t storage_size;

/// Too large for a stack. Of the one control that there is.
constinit internal::marker_type scratch{};

bool same_marker(const marker::marker& a, const marker::marker& b) {
    return &a == &b || (same(a.channel(), b.channel()) && same(a.name(), b.name()) &&
                        same(a.format(), b.format()));
}

tracer_error translate(marker::marker_error why) {
    using marker::marker_error;
    switch (why) {
    case marker_error::in_nmi:
        return tracer_error::in_nmi;
    case marker_error::cannot_synchronise:
        return tracer_error::cannot_synchronise;
    case marker_error::busy:
        return tracer_error::busy;
    case marker_error::no_room:
        return tracer_error::no_room;
    case marker_error::no_marker:
    case marker_error::format_mismatch:
    case marker_error::ambiguous:
    case marker_error::probe_in_use:
    case marker_error::not_registered:
    case marker_error::not_patched:
    case marker_error::range_in_use:
    case marker_error::not_joined:
    case marker_error::bad_table:
    case marker_error::bad_marker:
        break;
    }
    return tracer_error::not_patched;
}

uint8_t* put_argument(uint8_t* to, const marker::argument& value) {
    const uint64_t bits = value.as_unsigned();
    switch (value.type().size) {
    case 1:
        return internal::put(to, static_cast<uint8_t>(bits));
    case 2:
        return internal::put(to, static_cast<uint16_t>(bits));
    case 4:
        return internal::put(to, static_cast<uint32_t>(bits));
    default:
        return internal::put(to, bits);
    }
}

} // namespace

/// In the context of the hit, with the preempt count raised.
void marker_event::on_hit(const marker::marker&, void* mine, const marker::arguments& values) {
    const size_t count = values.size();
    uint32_t size = 0;
    uint32_t lengths[marker::most_arguments]; // of texts, which may change until they are written
    for (size_t i = 0; i < count; ++i) {
        const marker::argument value = values[i];
        if (value.type().kind == marker::argument_kind::string) {
            const auto text = internal::measured_text::make(value.as_string(), longest_text);
            lengths[i] = text.length;
            size += text.size();
        } else {
            size += value.type().size;
        }
    }
    const auto write = [&](uint8_t* to) {
        for (size_t i = 0; i < count; ++i) {
            const marker::argument value = values[i];
            to = value.type().kind == marker::argument_kind::string
                     ? internal::measured_text{value.as_string(), lengths[i]}.write(to)
                     : put_argument(to, value);
        }
    };
    static_cast<void>(internal::write_event(channel::markers, static_cast<marker_event*>(mine)->id_,
                                            size, write));
}

bool control::is_event(const marker::marker& which) {
    for (size_t i = 0; i < storage_size; ++i) {
        const marker::marker* const with = storage[i].probe_.registered_with();
        if (with != nullptr && same_marker(*with, which))
            return true;
    }
    return false;
}

tracer_error control::connect(const marker::marker& which) {
    scratch.read(which.channel(), which.name(), which.format());
    const auto number = number_of(scratch.name(), scratch.fields(), scratch.field_count());
    if (!number)
        return number.error();
    bool has_waited = false;
    for (size_t i = 0; i < storage_size;) {
        marker_event& one = storage[i];
        if (one.probe_.registered_with() != nullptr) {
            ++i;
            continue;
        }
        // Nobody calls it, or those that do are waited for: else it is refused below.
        __atomic_store_n(&one.id_, *number, __ATOMIC_RELAXED);
        const auto registered =
            marker::register_probe(which.channel(), which.name(), which.format(), one.probe_);
        if (registered)
            return no_error;
        if (registered.error() != marker::marker_error::probe_in_use || has_waited)
            return translate(registered.error());
        // It was unregistered by its image's leaving.
        const auto waited = marker::synchronise();
        if (!waited)
            return translate(waited.error());
        has_waited = true;
    }
    return tracer_error::no_room;
}

tracer_error control::disconnect(const char* channel, const char* name) {
    bool has_changed = false;
    for (size_t i = 0; i < storage_size; ++i) {
        marker_event& one = storage[i];
        const marker::marker* const with = one.probe_.registered_with();
        if (with == nullptr || !internal::matches(channel, with->channel()) ||
            !internal::matches(name, with->name()))
            continue;
        const auto unregistered = marker::unregister_probe(one.probe_);
        if (!unregistered)
            return translate(unregistered.error());
        has_changed = true;
    }
    if (!has_changed)
        return no_error;
    const auto waited = marker::synchronise();
    return waited ? no_error : translate(waited.error());
}

expected<size_t, tracer_error> control::turn_markers(const char* channel, const char* name,
                                                     bool on) {
    if (channel[0] == 0 || !all_patterns::is_short(channel) || !all_patterns::is_short(name))
        return unexpected(tracer_error::bad_pattern);
    if (!wanted.has_room(channel, name))
        return unexpected(tracer_error::no_room);
    size_t count = 0;
    for (const marker::marker& one : marker::all_markers{}) {
        if (!internal::matches(channel, one.channel()) || !internal::matches(name, one.name()))
            continue;
        ++count;
        if (!on || is_event(one))
            continue;
        if (const tracer_error why = connect(one); why != no_error)
            return unexpected(why);
    }
    if (!on)
        if (const tracer_error why = disconnect(channel, name); why != no_error)
            return unexpected(why);
    wanted.remember(channel, name, on);
    return count;
}

expected<size_t, tracer_error> control::connect_joined() {
    size_t count = 0;
    for (const marker::marker& one : marker::all_markers{}) {
        if (!wanted.wants(one.channel(), one.name()) || is_event(one))
            continue;
        if (const tracer_error why = connect(one); why != no_error)
            return unexpected(why);
        ++count;
    }
    return count;
}

void use_marker_storage(marker_event* all, size_t count) {
    // Anew: g++ 12 leaves an array of them zero if it has no initializer, constinit or not.
    for (size_t i = 0; i < count; ++i)
        new (&all[i]) marker_event;
    storage = all;
    storage_size = count;
}

expected<size_t, tracer_error> enable(const char* channel, const char* name) {
    return with_control([&](control& mine) { return mine.turn_markers(channel, name, true); });
}

expected<size_t, tracer_error> disable(const char* channel, const char* name) {
    return with_control([&](control& mine) { return mine.turn_markers(channel, name, false); });
}

expected<size_t, tracer_error> markers_have_joined() {
    return with_control([&](control& mine) { return mine.connect_joined(); });
}

} // namespace nmisafe::tracer
