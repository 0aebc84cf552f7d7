// SPDX-License-Identifier: MIT
/// Strings of bytes to decode: the same ones for the same seed, on every compiler.
#pragma once

#include "nmisafe/x86/instruction.hpp"

#include <array>
#include <cstdint>

namespace decoder_test {

/// One byte more than an instruction can have.
using byte_string = std::array<uint8_t, nmisafe::x86::maximum_instruction_length + 1>;

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators (splitmix64).
class random_numbers {
  public:
    explicit random_numbers(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        uint64_t z = state_ += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }
    /// Of 0 to count-1; the bias is below 2^-32.
    uint32_t below(uint64_t count) { return static_cast<uint32_t>((next() >> 32) * count >> 32); }

  private:
    uint64_t state_;
};

/// Every byte independent and uniform.
byte_string uniform_string(random_numbers& random);

/// Uniform, but for a front of prefixes, mostly a REX in 64-bit mode, and an opcode of any map:
/// what uniform bytes seldom make.
byte_string instruction_like_string(random_numbers& random, nmisafe::x86::width mode);

} // namespace decoder_test
