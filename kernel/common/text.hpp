// SPDX-License-Identifier: MIT
// A piece of text that somebody else owns, not terminated. @context any, all of it.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

class text {
  public:
    constexpr text() = default;
    constexpr text(const char* begin, size_t size) : begin_(begin), size_(size) {}
    constexpr text(const char* terminated) : begin_(terminated) {
        while (terminated[size_] != '\0')
            ++size_;
    }

    constexpr size_t size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }
    constexpr const char* begin() const { return begin_; }
    constexpr const char* end() const { return begin_ + size_; }
    constexpr char operator[](size_t index) const { return begin_[index]; }

    constexpr bool operator==(const text& other) const {
        if (size_ != other.size_)
            return false;
        for (size_t i = 0; i < size_; ++i)
            if (begin_[i] != other.begin_[i])
                return false;
        return true;
    }

    /// What precedes the first `separator`, which is taken off the front together with it.
    constexpr text take_until(char separator) {
        size_t length = 0;
        while (length < size_ && begin_[length] != separator)
            ++length;
        const text front(begin_, length);
        const size_t taken = length < size_ ? length + 1 : length;
        begin_ += taken;
        size_ -= taken;
        return front;
    }

  private:
    const char* begin_ = "";
    size_t size_ = 0;
};

} // namespace kernel
