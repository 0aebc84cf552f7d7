// SPDX-License-Identifier: MIT
/// The bytes of an instruction, one by one, and not one too many.
#pragma once

#include "nmisafe/x86/instruction.hpp"

namespace nmisafe::x86::internal {

class byte_reader {
  public:
    constexpr byte_reader(const uint8_t* bytes, size_t available)
        : bytes_(bytes),
          limit_(available < maximum_instruction_length ? available : maximum_instruction_length) {}

    /// How many were taken; less than 16.
    constexpr uint8_t position() const { return static_cast<uint8_t>(position_); }

    /// Why there is no further byte, where there is none.
    constexpr decode_error end_reason() const {
        return limit_ < maximum_instruction_length ? decode_error::truncated
                                                   : decode_error::too_long;
    }

    /// The next byte, which stays the next one. False: there is none.
    constexpr bool peek(uint8_t& byte) const {
        if (position_ == limit_)
            return false;
        byte = bytes_[position_];
        return true;
    }

    constexpr bool take(uint8_t& byte) {
        if (!peek(byte))
            return false;
        ++position_;
        return true;
    }

    /// Of up to 8 bytes, sign-extended; 0 of none.
    constexpr bool take_number(unsigned size, int64_t& number) {
        uint64_t value = 0;
        for (unsigned i = 0; i < size; ++i) {
            uint8_t byte = 0;
            if (!take(byte))
                return false;
            value |= uint64_t{byte} << 8 * i;
        }
        const unsigned unused = 64 - 8 * size;
        number = size == 0 ? 0 : static_cast<int64_t>(value << unused) >> unused;
        return true;
    }

  private:
    const uint8_t* bytes_;
    size_t limit_;
    size_t position_ = 0;
};

} // namespace nmisafe::x86::internal
