// SPDX-License-Identifier: MIT
// What the module forgets and the kernel have in common: a variable of the kernel's, which it
// exports.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::kprobe {
struct probe;
}

namespace kernel {

struct forgotten_work {
    uintptr_t instruction; ///< Where to put a kprobe, from where to decode, and
    uintptr_t slot;        ///< its slot, or 0.
    bool goes_on;          ///< What init returns.
    // The module's.
    nmisafe::kprobe::probe* kprobe;
    uint32_t calls; ///< Of its marker probe and of its kprobe's handler.
    uint32_t refused;
};
extern forgotten_work forgotten;

} // namespace kernel
