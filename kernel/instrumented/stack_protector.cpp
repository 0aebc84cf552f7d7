// SPDX-License-Identifier: MIT
// What an image that is compiled with -fstack-protector calls.
#include "kernel/panic/panic.hpp"

extern "C" {

extern const uintptr_t __stack_chk_guard;
const uintptr_t __stack_chk_guard = 0x00ff0a0d;

[[noreturn]] void __stack_chk_fail();
void __stack_chk_fail() {
    kernel::panic("a function's stack frame has been overrun", nullptr, 0);
}
}
