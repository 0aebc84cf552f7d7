// SPDX-License-Identifier: MIT
// A word that an interrupt or NMI of the same CPU, or another CPU, changes under the reader's feet:
// each access is made, once, in the order written; what was written before the word is seen by who
// sees the word. Inlined always: a breakpoint handler counts in such words too, where no breakpoint
// may stand.
#pragma once

#include "nmisafe/base/std.hpp"

namespace kernel {

template <typename Word>
class shared_word {
  public:
    constexpr shared_word() = default;
    [[gnu::always_inline]] operator Word() const {
        Word value;
        __atomic_load(&value_, &value, __ATOMIC_ACQUIRE);
        return value;
    }
    [[gnu::always_inline]] shared_word& operator=(Word value) {
        __atomic_store(&value_, &value, __ATOMIC_RELEASE);
        return *this;
    }
    [[gnu::always_inline]] shared_word& operator++() { return *this += 1; }
    /// Atomic: an NMI, or another CPU, may add between any two instructions.
    [[gnu::always_inline]] shared_word& operator+=(Word amount) {
        __atomic_fetch_add(&value_, amount, __ATOMIC_RELAXED);
        return *this;
    }

  private:
    // Not volatile itself: such a member would ask for a static constructor.
    Word value_ = Word{};
};

using shared_count = shared_word<uint32_t>;
using shared_flag = shared_word<bool>;

} // namespace kernel
