// SPDX-License-Identifier: MIT
// What the objects of the test share among themselves and with the program that loads them.
#pragma once

#include "nmisafe/base/std.hpp"

// The program's.
namespace program {
int add(int a, int b);
int add(int a, int b, int c);
extern int number;
extern int calls;
} // namespace program

namespace features {

/// In each object that uses it a COMDAT group of its own: function and static variable.
template <typename T>
struct counter {
    static inline T total = 5;
    [[gnu::noinline]] static T next() {
        static T step = 1;
        total = static_cast<T>(total + step);
        return step++;
    }
};

/// An inline variable, which the program may replace.
inline int shared = 1;

/// Records its own place in a table, as immediate values do: the entry is in the group of the
/// function, and bound to its section.
template <int Number>
[[gnu::noinline]] inline int site() {
    asm volatile(".Lsite%=:\n\t"
                 ".pushsection test_sites, \"ao?\", @progbits, .Lsite%=\n\t"
                 ".balign 4\n\t"
                 ".long .Lsite%= - .\n\t"
                 ".popsection"
                 :
                 : "i"(Number)); // an operand, or %= would not be replaced
    return Number;
}

struct shape {
    virtual int sides() const { return 0; }

  protected:
    ~shape() = default;
};
struct triangle final : shape {
    int sides() const override { return 3; }
};
struct point final : shape {};

} // namespace features
