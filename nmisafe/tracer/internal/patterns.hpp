// SPDX-License-Identifier: MIT
// What was asked for by patterns of names, for what comes later. One thread at a time.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::tracer::internal {

/// Whether both texts are the same. @context any
constexpr bool same(const char* a, const char* b) {
    for (; *a == *b; ++a, ++b)
        if (*a == 0)
            return true;
    return false;
}

/// Whether all of the text is like the pattern: `*` any characters, `?` one. Its time is at most
/// the product of the lengths. @context any
constexpr bool matches(const char* pattern, const char* text) {
    const char* star = nullptr; // the last one, and where what it stands for ends so far
    const char* behind = nullptr;
    while (*text != 0) {
        if (*pattern == '*') {
            star = pattern++;
            behind = text;
        } else if (*pattern == '?' || *pattern == *text) {
            ++pattern;
            ++text;
        } else if (star != nullptr) {
            pattern = star + 1;
            text = ++behind;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        ++pattern;
    return *pattern == 0;
}

/// Of two names each: a marker's channel and name. An event's channel is "".
template <size_t Longest, size_t Most>
class patterns {
  public:
    static constexpr bool is_short(const char* pattern) {
        size_t length = 0;
        while (length <= Longest && pattern[length] != 0)
            ++length;
        return length <= Longest;
    }

    bool has_room(const char* channel, const char* name) const {
        for (size_t i = 0; i < count_; ++i)
            if (is_covered(all_[i], channel, name))
                return true;
        return count_ < Most;
    }

    /// There is room. What no name can ask for any more is forgotten.
    void remember(const char* channel, const char* name, bool on) {
        size_t kept = 0;
        for (size_t i = 0; i < count_; ++i)
            if (!is_covered(all_[i], channel, name)) {
                one& to = all_[kept++];
                copy(to.channel, all_[i].channel);
                copy(to.name, all_[i].name);
                to.on = all_[i].on;
            }
        one& added = all_[kept];
        copy(added.channel, channel);
        copy(added.name, name);
        added.on = on;
        count_ = kept + 1;
    }

    /// What the latest one says that fits.
    bool wants(const char* channel, const char* name) const {
        for (size_t i = count_; i-- != 0;)
            if (matches(all_[i].channel, channel) && matches(all_[i].name, name))
                return all_[i].on;
        return false;
    }

    void clear() { count_ = 0; }

  private:
    struct one {
        char channel[Longest + 1];
        char name[Longest + 1];
        bool on;
    };

    static bool is_any(const char* pattern) { return pattern[0] == '*' && pattern[1] == 0; }

    /// Whether all that the older one fits is fitted by the newer one.
    static bool is_covered(const one& older, const char* channel, const char* name) {
        // An event has no channel, and a marker's is not empty.
        const bool same_kind = (older.channel[0] == 0) == (channel[0] == 0);
        return same_kind && (is_any(channel) || same(older.channel, channel)) &&
               (is_any(name) || same(older.name, name));
    }

    static void copy(char* to, const char* from) {
        while (*from != 0) {
            *to++ = *from++;
            asm volatile("" : : : "memory"); // no call of the compiler's library
        }
        *to = 0;
    }

    one all_[Most] = {};
    size_t count_ = 0;
};

} // namespace nmisafe::tracer::internal
