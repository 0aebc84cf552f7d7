// SPDX-License-Identifier: MIT
// Random hostile tasks: what is in their registers and their code. A task is made from one number,
// so that it can be made again.
#pragma once

#include "kernel/memory/address_space.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/user/user.hpp"

namespace kernel {

/// A sequence of numbers from a seed. [Marsaglia, Xorshift RNGs]
class random_numbers {
  public:
    explicit random_numbers(uint32_t seed) : state_(seed * 2654435761U ^ 0x9e3779b9U) {
        if (state_ == 0)
            state_ = 1;
        next();
    }
    uint32_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 17;
        state_ ^= state_ << 5;
        return state_;
    }
    uint32_t below(uint32_t bound) { return static_cast<uint32_t>(uint64_t{next()} * bound >> 32); }
    bool percent(uint32_t chance) { return below(100) < chance; }
    uintptr_t word();

  private:
    uint32_t state_;
};

/// One page of user mode, writable and executable.
struct user_page {
    uintptr_t address; ///< The user's.
    uint8_t* contents; ///< The kernel's.
};

/// All that tasks have: pages far apart, in an address space with nothing else in its low half.
struct hostile_pages {
    address_space* space;
    user_page code, stack, data;
};

/// @context thread
hostile_pages make_hostile_pages();

/// What a task is made of beside the contents of its pages.
struct hostile_task {
    nmisafe::user::user_frame frame;
    uintptr_t fs_base, gs_base; ///< x86-64 only.
    uintptr_t watched[4];       ///< DR0 to DR3: of the task's own pages.
    uintptr_t debug_control;
    bool is_listed; ///< No random bytes in it: what its instructions do to registers is known.
    /// Kernel addresses that it was given, in registers and in its code.
    uintptr_t given[64];
    unsigned givens;
};

/// Makes task `number`: its registers, and the contents of its pages. @context thread
void make_hostile_task(uint32_t number, const hostile_pages& memory, hostile_task& task);

/// Makes the contents of its pages again. @context thread
void remake_hostile_pages(uint32_t number, const hostile_pages& memory);

/// Where each task's pages have INT 0x80, and nothing else that it could do there.
inline constexpr uintptr_t echo_offset = 0xff0;

/// And where they have the CPU's own system call, which returns by SYSRET or SYSEXIT, and then INT 0x80.
inline constexpr uintptr_t fast_echo_offset = 0xfe0;
inline constexpr uintptr_t fast_call_size = 2;

/// Whether a task may have this value in a register. @context any
bool may_have(const hostile_task& task, const hostile_pages& memory, uintptr_t value);

} // namespace kernel
