// SPDX-License-Identifier: MIT
// The values that a hostile task has in its registers, on its stack and in its code.
#pragma once

#include "kernel/experiments/user/hostile_code.hpp"

namespace kernel {

/// Kernel addresses, its own, edges of what is canonical or mapped, and numbers that mean nothing.
/// It is the task's from then on.
uintptr_t any_value(random_numbers& random, const hostile_pages& memory, hostile_task& task);

/// An address in one of its pages.
uintptr_t own_address(random_numbers& random, const hostile_pages& memory);

/// `usual` in `chance` of a hundred cases.
uint16_t any_selector(random_numbers& random, uint16_t usual, uint32_t chance);

uintptr_t any_flags(random_numbers& random);

/// Notes a value that the task has been given.
void give(hostile_task& task, uintptr_t value);

/// QEMU 7.2 executes far CALL, far RET and IRET in ring 3 with the kernel's rights to memory, and
/// an IRET there may turn on virtual-8086 mode. Nothing can stand against that, so tasks have none
/// of these, whatever they execute: their bytes (9A, CA, CB, CF) are nowhere.
constexpr uint8_t without_far_returns(uint8_t byte) {
    switch (byte) {
    case 0x9a:
    case 0xca:
    case 0xcb:
    case 0xcf:
        return 0xcc;
    default:
        return byte;
    }
}
uintptr_t without_far_returns(uintptr_t value);

} // namespace kernel
