// SPDX-License-Identifier: MIT
#include "nmisafe/profiler/chain.hpp"

#include "nmisafe/platform/contract.hpp"
#include "nmisafe/profiler/guarded_load.hpp"
#include "nmisafe/x86/flags.h"

namespace nmisafe::profiler {

namespace {

constexpr uintptr_t word = sizeof(uintptr_t);
constexpr uintptr_t frame_size = 2 * word; // the caller's frame pointer, and the return address

class chain_walk {
  public:
    chain_walk(const x86::trap_frame& frame, const chain_rules& rules)
        : is_user_((frame.cs & X86_RPL_MASK) != 0), rules_(is_user_ ? rules.user : rules.kernel),
          // A frame from user mode has its stack pointer elsewhere on x86-32.
          begin_(is_user_ ? frame.bp : frame.interrupted_sp()), lowest_(begin_), at_(frame.bp) {}

    /// The next return address, or why there is none.
    chain_end step(uintptr_t& address) {
        if (at_ == 0)
            return chain_end::outermost;
        if (at_ % word != 0)
            return chain_end::misaligned;
        if (at_ < lowest_)
            return chain_end::not_above;
        if (!rules_.where.holds(at_, frame_size) || at_ - begin_ > rules_.largest)
            return chain_end::outside;
        uintptr_t next;
        if (!guarded_load(at_, next) || !guarded_load(at_ + word, address))
            return chain_end::fault;
        if (address == 0 || !is_code(address))
            return chain_end::no_code;
        lowest_ = at_ + frame_size;
        at_ = next;
        return chain_end::too_long; // unless somebody asks for more
    }

  private:
    /// A call lies before it. Of user mode's code nothing is known but where it can be.
    bool is_code(uintptr_t address) const {
        return is_user_ ? rules_.where.holds(address - 1, 1)
                        : platform::contract::is_text(address - 1, address);
    }

    const bool is_user_;
    const stack_rules& rules_;
    const uintptr_t begin_;
    uintptr_t lowest_; // where the next frame may begin
    uintptr_t at_;
};

} // namespace

chain_found walk_chain(const x86::trap_frame& frame, const chain_rules& rules, uintptr_t* to,
                       size_t most) {
    chain_walk walk(frame, rules);
    for (size_t count = 0; count < most; ++count) {
        const chain_end end = walk.step(to[count]);
        if (end != chain_end::too_long)
            return {count, end};
    }
    return {most, chain_end::too_long};
}

} // namespace nmisafe::profiler
