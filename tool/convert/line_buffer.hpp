// SPDX-License-Identifier: MIT
// Text that is made fast. Not by std::string: where one source of a program is compiled without optimisation,
// the linker may take that one's copy of its functions for all.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace nmisafe::tool {

class line_buffer {
  public:
    line_buffer() : memory_(std::size_t{1} << 16), at_(memory_.data()) {
        end_ = at_ + memory_.size();
    }

    void put(std::string_view text) {
        make_room(text.size());
        std::memcpy(at_, text.data(), text.size());
        at_ += text.size();
    }
    void put(char one) {
        make_room(1);
        *at_++ = one;
    }

    void decimal(std::uint64_t number) {
        char digits[20];
        char* const end = digits + sizeof digits;
        char* begin = end;
        do {
            *--begin = static_cast<char>('0' + number % 10);
            number /= 10;
        } while (number != 0);
        put(std::string_view(begin, static_cast<std::size_t>(end - begin)));
    }

    // With leading zeros.
    void nine_digits(std::uint32_t number) {
        make_room(9);
        for (unsigned i = 9; i-- != 0; number /= 10) {
            at_[i] = static_cast<char>('0' + number % 10);
        }
        at_ += 9;
    }

    void hexadecimal(std::uint64_t number) {
        put("0x");
        const auto digits =
            number != 0 ? (67u - static_cast<unsigned>(__builtin_clzll(number))) / 4 : 1;
        make_room(digits);
        for (unsigned i = digits; i-- != 0; number >>= 4) {
            at_[i] = "0123456789abcdef"[number & 15];
        }
        at_ += digits;
    }

    std::string_view text() const {
        return {memory_.data(), static_cast<std::size_t>(at_ - memory_.data())};
    }
    void clear() { at_ = memory_.data(); }

  private:
    void make_room(std::size_t size) {
        if (static_cast<std::size_t>(end_ - at_) < size) {
            grow(size);
        }
    }
    [[gnu::noinline]] void grow(std::size_t size) {
        const std::size_t used = text().size();
        memory_.resize(2 * memory_.size() + size);
        at_ = memory_.data() + used;
        end_ = memory_.data() + memory_.size();
    }

    std::vector<char> memory_;
    char* at_;
    char* end_;
};

} // namespace nmisafe::tool
