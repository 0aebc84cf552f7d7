// SPDX-License-Identifier: MIT
// An event as it is read, and the values of its fields.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "nmisafe/ring_buffer/layout.hpp"
#include "tool/trace/description.hpp"

namespace nmisafe::tool {

// Until the reader goes on. Its payload is whole: each field ends inside.
struct trace_event {
    std::uint64_t time = 0; // in the clock's units
    std::uint32_t cpu = 0;
    std::uint32_t stream = 0; // its number in trace_folder::streams()
    const event_type* type = nullptr;
    ctf::context context = ctf::context::thread; // without contexts in the trace: thread, 0
    std::uint8_t depth = 0;
    std::span<const std::uint8_t> payload;
};

// What a stream's packets say was lost between the end of the one before and their own.
struct trace_loss {
    std::uint32_t cpu = 0;
    std::uint32_t stream = 0;
    std::uint64_t time = 0;  // where it stands among the events, in the clock's units
    std::uint64_t begin = 0; // the end of the packet before
    std::uint64_t end = 0;
    std::uint64_t
        events[ring_buffer::loss_count]{}; // by their cause, in the order of ring_buffer::loss
    std::uint64_t packets = 0;             // overwritten, or never taken
    // The trace begins later than the writing: the events of before are not counted.
    bool is_before = false;

    std::uint64_t all_events() const {
        std::uint64_t sum = 0;
        for (const std::uint64_t one : events) {
            sum += one;
        }
        return sum;
    }
};
inline constexpr const char* loss_names[] = {"full", "wrap", "too_big", "nesting"};

template <typename Number>
Number load(const std::uint8_t* from) {
    Number value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

struct field_value {
    std::uint64_t number = 0;                // of a signed kind: extended to 64 bits
    std::string_view text;                   // ctf::kind::string; without the 0 at its end
    std::span<const std::uint8_t> addresses; // ctf::kind::addresses: 8 bytes each
    std::size_t address_count() const { return addresses.size() / 8; }
    std::uint64_t address(std::size_t i) const {
        return load<std::uint64_t>(addresses.data() + 8 * i);
    }
};

// Reads the fields of an event one after the other, in their order.
class field_reader {
  public:
    explicit field_reader(const trace_event& of)
        : at_(of.payload.data()), end_(at_ + of.payload.size()) {}

    field_value next(ctf::kind kind) {
        field_value value;
        switch (kind) {
        case ctf::kind::u8:
            value.number = take<std::uint8_t>();
            break;
        case ctf::kind::u16:
            value.number = take<std::uint16_t>();
            break;
        case ctf::kind::u32:
            value.number = take<std::uint32_t>();
            break;
        case ctf::kind::u64:
            value.number = take<std::uint64_t>();
            break;
        case ctf::kind::i8:
            value.number = extend(take<std::int8_t>());
            break;
        case ctf::kind::i16:
            value.number = extend(take<std::int16_t>());
            break;
        case ctf::kind::i32:
            value.number = extend(take<std::int32_t>());
            break;
        case ctf::kind::i64:
            value.number = extend(take<std::int64_t>());
            break;
        case ctf::kind::string: {
            const auto* const begin = reinterpret_cast<const char*>(at_);
            value.text = {begin, ::strnlen(begin, left())};
            at_ += std::min(value.text.size() + 1, left());
            break;
        }
        case ctf::kind::addresses: {
            const std::size_t bytes = std::size_t{8} * take<std::uint8_t>();
            value.addresses = {at_, std::min(bytes, left() & ~std::size_t{7})};
            at_ += value.addresses.size();
            break;
        }
        }
        return value;
    }

  private:
    std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

    template <typename Number>
    Number take() {
        if (left() < sizeof(Number)) {
            return 0;
        }
        const auto value = load<Number>(at_);
        at_ += sizeof value;
        return value;
    }

    static std::uint64_t extend(std::int64_t value) { return static_cast<std::uint64_t>(value); }

    const std::uint8_t* at_;
    const std::uint8_t* end_;
};

// The field of this name, if the event has one. For events that are few: it looks for the name.
inline bool find_field(const trace_event& event, std::string_view name, field_value& to) {
    field_reader fields(event);
    for (const field_type& field : event.type->fields) {
        to = fields.next(field.type);
        if (field.name == name) {
            return true;
        }
    }
    return false;
}

} // namespace nmisafe::tool
