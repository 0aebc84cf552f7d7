// SPDX-License-Identifier: MIT
#include "nmisafe/x86/instruction.hpp"

using namespace nmisafe;

uint64_t target_of(const uint8_t* bytes, size_t available, uint64_t address);

uint64_t target_of(const uint8_t* bytes, size_t available, uint64_t address) {
    uint64_t target = 0;
    const auto result = x86::decode(bytes, available, x86::width::bits_64);
    if (result && result->kind == x86::instruction_class::call_relative)
        target = address + result->length + static_cast<uint64_t>(result->immediate);
    return target;
}
