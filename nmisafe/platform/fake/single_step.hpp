// SPDX-License-Identifier: MIT
/// Runs code with something done between any two of its instructions: what another CPU, or an NMI,
/// could do there. By TF and SIGTRAP, so also under QEMU's user emulation.
///
/// Hosted code, for tests only. What is done runs in a signal handler: it throws nothing, and
/// allocates nothing where the stepped code may be allocating.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/x86/flags.h"
#include "nmisafe/x86/instruction.hpp"

#include <csignal>
#include <cstdlib>
#include <functional>
#include <tuple>
#include <ucontext.h>

namespace nmisafe::platform::fake {

/// Between two instructions.
struct boundary {
    unsigned number;
    bool behind_barrier; ///< The instruction before lets no load pass a store: LOCK, XCHG, MFENCE.
};

using between = std::function<void(const boundary&)>;

namespace stepping {

inline const between* action; // null: nothing is stepped
inline boundary now;
inline bool is_over;      // the rest runs on its own
inline uintptr_t last_ip; // of the instruction that ends at the next boundary; 0: not known

inline bool is_barrier(uintptr_t ip) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(ip);
    const auto what = x86::decode(bytes, x86::maximum_instruction_length, x86::this_width);
    if (!what)
        return false;
    if (what->has(x86::prefix::lock))
        return true;
    if (what->map == x86::opcode_map::one_byte)
        return (what->opcode == 0x86 || what->opcode == 0x87) && what->mod() != 3;
    return what->map == x86::opcode_map::map_0f && what->opcode == 0xae && what->modrm == 0xf0;
}

inline void on_trap(int, siginfo_t*, void* context) {
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
#ifdef __x86_64__
    const auto ip = static_cast<uintptr_t>(registers[REG_RIP]);
#else
    const auto ip = static_cast<uintptr_t>(registers[REG_EIP]);
#endif
    if (action == nullptr)
        std::abort(); // a SIGTRAP of somebody else
    now.behind_barrier = last_ip != 0 && is_barrier(last_ip);
    last_ip = ip;
    (*action)(now);
    ++now.number;
    if (is_over)
        registers[REG_EFL] &= ~static_cast<greg_t>(X86_FLAGS_TF);
}

/// Beyond the red zone of the function it is inlined into.
[[gnu::always_inline]] inline void set_trap_flag(bool on) {
    const uintptr_t set = on ? X86_FLAGS_TF : 0;
    constexpr auto kept = ~uintptr_t{X86_FLAGS_TF};
#ifdef __x86_64__
    asm volatile("lea -128(%%rsp), %%rsp\n\t"
                 "pushfq\n\t"
                 "andq %[kept], (%%rsp)\n\t"
                 "orq %[set], (%%rsp)\n\t"
                 "popfq\n\t"
                 "lea 128(%%rsp), %%rsp"
                 :
                 : [kept] "r"(kept), [set] "r"(set)
                 : "cc", "memory");
#else
    asm volatile("pushfl\n\t"
                 "andl %[kept], (%%esp)\n\t"
                 "orl %[set], (%%esp)\n\t"
                 "popfl"
                 :
                 : [kept] "r"(kept), [set] "r"(set)
                 : "cc", "memory");
#endif
}

} // namespace stepping

/// For `action`: this was the last boundary that is of interest.
inline void stop_stepping() {
    stepping::is_over = true;
}

/// Calls `run` and, after each of its instructions, `action`, which may do the same: what it steps
/// through is then inside what is stepped through here, as an NMI is.
/// @return the number of boundaries.
template <typename Run>
unsigned step_through(Run run, const between& action) {
    struct sigaction mine {};
    struct sigaction others {};
    mine.sa_sigaction = stepping::on_trap;
    mine.sa_flags = SA_SIGINFO | SA_NODEFER;
    if (sigaction(SIGTRAP, &mine, &others) != 0)
        std::abort();
    const auto outer =
        std::tuple(stepping::action, stepping::now, stepping::is_over, stepping::last_ip);
    stepping::now = {};
    stepping::is_over = false;
    stepping::last_ip = 0;
    stepping::action = &action;
    stepping::set_trap_flag(true);
    run();
    stepping::set_trap_flag(false);
    const unsigned boundaries = stepping::now.number;
    std::tie(stepping::action, stepping::now, stepping::is_over, stepping::last_ip) = outer;
    sigaction(SIGTRAP, &others, nullptr);
    return boundaries;
}

} // namespace nmisafe::platform::fake
