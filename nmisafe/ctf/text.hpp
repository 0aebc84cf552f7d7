// SPDX-License-Identifier: MIT
/// Text in memory that is given, without a library: what does not fit is left out, but counted.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::ctf {

class text {
  public:
    constexpr text(char* begin, size_t size) : begin_(begin), size_(size) {}

    /// How long it is, or would be if there were room.
    constexpr size_t length() const { return length_; }
    constexpr bool is_complete() const { return length_ <= size_; }

    constexpr text& operator<<(char one) {
        if (length_ < size_)
            begin_[length_] = one;
        ++length_;
        return *this;
    }
    constexpr text& operator<<(const char* all) {
        while (*all != 0)
            *this << *all++;
        return *this;
    }

    /// By subtraction: a division of 64 bits is a call of the compiler's library on x86-32.
    constexpr text& operator<<(uint64_t number) {
        bool has_begun = false;
        for (uint64_t power = 10'000'000'000'000'000'000u;;) {
            char digit = '0';
            for (; number >= power; number -= power)
                ++digit;
            has_begun = has_begun || digit != '0' || power == 1;
            if (has_begun)
                *this << digit;
            if (power == 1)
                return *this;
            power = tenth(power);
        }
    }

    constexpr text& hexadecimal(uint8_t number) {
        constexpr const char* digits = "0123456789abcdef";
        return *this << digits[number >> 4] << digits[number & 15];
    }

  private:
    // Of a power of ten.
    static constexpr uint64_t tenth(uint64_t power) {
        uint64_t result = 1;
        while (result * 10 != power)
            result *= 10;
        return result;
    }

    char* begin_;
    size_t size_;
    size_t length_ = 0;
};

} // namespace nmisafe::ctf
