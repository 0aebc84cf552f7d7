// SPDX-License-Identifier: MIT
// A table of code that comes and goes, for readers who may interrupt who changes it.
//
//   who changes it               who reads it
//   one at a time (a lock)       anybody, in any context, while it is changed: an NMI handler too,
//                                in the middle of a change on its own CPU
//
// An entry is used again for other code. Its generation is odd while its words change, and never
// comes back. A reader that finds it odd, or other after it has read the words than before, was
// there at a moment at which the entry had nothing: it goes on, and never waits.
#pragma once

#include "nmisafe/base/address_range.hpp"
#include "nmisafe/base/std.hpp"
#include "nmisafe/base/trap_text.hpp"

namespace kernel {

/// What is known of a piece of code.
struct code_range {
    nmisafe::base::address_range code;
    nmisafe::base::address_range no_probe; ///< What of it must not be probed; or empty.
};

/// All inline, for the section in which the readers stand.
template <size_t Most>
class code_ranges {
  public:
    /// False: no room. @context thread, with the lock
    bool add(const code_range& what) {
        for (entry& one : entries_)
            if (!one.is_used) {
                one.is_used = true;
                write(one, what);
                return true;
            }
        return false;
    }

    /// The code that begins there. @context thread, with the lock
    void remove(uintptr_t begin) {
        for (entry& one : entries_)
            if (one.is_used && one.code_begin == begin) {
                write(one, {});
                one.is_used = false;
            }
    }

    /// Whether all of [begin, end) is of one piece. @context any
    [[NMISAFE_TRAP_INLINE]] bool holds(uintptr_t begin, uintptr_t end) const {
        for (size_t i = 0; i < Most; ++i) {
            code_range found;
            if (read(entries_[i], found) && begin >= found.code.begin && end <= found.code.end &&
                begin <= end)
                return true;
        }
        return false;
    }

    /// Whether any of [begin, end) must not be probed. @context any
    [[NMISAFE_TRAP_INLINE]] bool is_no_probe(uintptr_t begin, uintptr_t end) const {
        for (size_t i = 0; i < Most; ++i) {
            code_range found;
            if (read(entries_[i], found) && begin < found.no_probe.end &&
                end > found.no_probe.begin)
                return true;
        }
        return false;
    }

  private:
    struct entry {
        uintptr_t generation;
        uintptr_t code_begin;
        uintptr_t code_end;
        uintptr_t no_probe_begin;
        uintptr_t no_probe_end;
        bool is_used; // of who changes it
    };

    /// The first fence keeps the words behind the odd generation; the release keeps them before the
    /// even one.
    static void write(entry& one, const code_range& what) {
        const uintptr_t generation = one.generation;
        __atomic_store_n(&one.generation, generation + 1, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_RELEASE);
        __atomic_store_n(&one.code_begin, what.code.begin, __ATOMIC_RELAXED);
        __atomic_store_n(&one.code_end, what.code.end, __ATOMIC_RELAXED);
        __atomic_store_n(&one.no_probe_begin, what.no_probe.begin, __ATOMIC_RELAXED);
        __atomic_store_n(&one.no_probe_end, what.no_probe.end, __ATOMIC_RELAXED);
        __atomic_store_n(&one.generation, generation + 2, __ATOMIC_RELEASE);
    }

    /// False: the words were changed meanwhile. The acquires keep each word's load, and with it the
    /// second look at the generation, behind what comes before.
    [[NMISAFE_TRAP_INLINE]] static bool read(const entry& one, code_range& found) {
        const uintptr_t before = __atomic_load_n(&one.generation, __ATOMIC_ACQUIRE);
        found.code.begin = __atomic_load_n(&one.code_begin, __ATOMIC_ACQUIRE);
        found.code.end = __atomic_load_n(&one.code_end, __ATOMIC_ACQUIRE);
        found.no_probe.begin = __atomic_load_n(&one.no_probe_begin, __ATOMIC_ACQUIRE);
        found.no_probe.end = __atomic_load_n(&one.no_probe_end, __ATOMIC_ACQUIRE);
        return before % 2 == 0 && before == __atomic_load_n(&one.generation, __ATOMIC_RELAXED);
    }

    entry entries_[Most] = {};
};

} // namespace kernel
