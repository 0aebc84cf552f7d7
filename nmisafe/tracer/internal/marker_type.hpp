// SPDX-License-Identifier: MIT
// What the event of a marker is called, and its fields.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/ctf/event.hpp"
#include "nmisafe/marker/format.hpp"

namespace nmisafe::tracer::internal {

constexpr bool is_letter(char one) {
    return ((one | 0x20) >= 'a' && (one | 0x20) <= 'z') || one == '_';
}
constexpr bool is_digit(char one) {
    return one >= '0' && one <= '9';
}

/// The kinds of each sign follow each other by size.
constexpr ctf::kind kind_of(marker::argument_type type) {
    using marker::argument_kind;
    if (type.kind == argument_kind::string)
        return ctf::kind::string;
    const bool is_signed = type.kind == argument_kind::signed_integer;
    const auto first = static_cast<unsigned>(is_signed ? ctf::kind::i8 : ctf::kind::u8);
    return static_cast<ctf::kind>(first + (static_cast<unsigned>(std::countr_zero(type.size)) & 3));
}
static_assert(kind_of({marker::argument_kind::signed_integer, 8, 10}) == ctf::kind::i64);
static_assert(kind_of({marker::argument_kind::unsigned_integer, 2, 10}) == ctf::kind::u16);

constexpr ctf::base base_of(marker::argument_type type) {
    return type.base == 16  ? ctf::base::hexadecimal
           : type.base == 8 ? ctf::base::octal
                            : ctf::base::decimal;
}

/// Names in room of their own, which are identifiers whatever the marker's are.
class marker_type {
  public:
    static constexpr size_t longest_name = 95;
    static constexpr size_t longest_field = 31;

    /// The format is one: the marker has joined, or was compiled.
    constexpr void read(const char* channel, const char* name, const char* format) {
        size_t length = add(name_, 0, longest_name, channel);
        length = add(name_, length, longest_name, "_");
        length = add(name_, length, longest_name, name);
        name_[length] = 0;
        if (!is_letter(name_[0]))
            name_[0] = '_';
        count_ = 0;
        const char* text = format;
        marker::argument_type type; // set by the first conversion
        for (const char* at = format; count_ < marker::most_arguments; text = at) {
            const char* conversion = nullptr;
            if (!marker::next_conversion(at, conversion, type))
                return;
            fields_[count_] = {names_[count_], kind_of(type), base_of(type)};
            name_field(text, conversion);
            ++count_;
        }
    }

    constexpr const char* name() const { return name_; }
    constexpr const ctf::field* fields() const { return fields_; }
    constexpr size_t field_count() const { return count_; }

  private:
    /// What is no part of an identifier becomes one that is.
    static constexpr size_t add(char* to, size_t length, size_t longest, const char* from) {
        for (; *from != 0 && length < longest; ++from)
            to[length++] = is_letter(*from) || is_digit(*from) ? *from : '_';
        return length;
    }

    /// The last word of the text in front of the conversion.
    constexpr void name_field(const char* text, const char* end) {
        char* const to = names_[count_];
        while (end != text && !is_letter(end[-1]) && !is_digit(end[-1]))
            --end;
        // "0x%x": what is in front of that.
        if (end - text >= 2 && end[-1] == 'x' && end[-2] == '0' &&
            (end - text == 2 || !(is_letter(end[-3]) || is_digit(end[-3])))) {
            end -= 2;
            while (end != text && !is_letter(end[-1]) && !is_digit(end[-1]))
                --end;
        }
        const char* word = end;
        while (word != text && (is_letter(word[-1]) || is_digit(word[-1])))
            --word;
        size_t length = 0;
        for (; word != end && length < longest_field; ++word)
            to[length++] = *word;
        to[length] = 0;
        if (length == 0 || is_digit(to[0]) || is_used(to))
            name_by_number(to);
    }

    constexpr void name_by_number(char* to) {
        size_t length = add(to, 0, longest_field, "arg");
        if (count_ >= 10)
            to[length++] = '1';
        to[length++] = static_cast<char>('0' + (count_ >= 10 ? count_ - 10 : count_));
        to[length] = 0;
        while (is_used(to)) {
            to[length++] = '_';
            to[length] = 0;
        }
    }

    constexpr bool is_used(const char* name) const {
        for (size_t i = 0; i < count_; ++i) {
            size_t at = 0;
            while (names_[i][at] == name[at] && name[at] != 0)
                ++at;
            if (names_[i][at] == name[at])
                return true;
        }
        return false;
    }

    char name_[longest_name + 1] = {};
    char names_[marker::most_arguments][longest_field + 1] = {};
    ctf::field fields_[marker::most_arguments + 1] = {};
    size_t count_ = 0;
};

} // namespace nmisafe::tracer::internal
