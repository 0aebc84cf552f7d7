// SPDX-License-Identifier: MIT
// The markers of the hosted test that stand in inline functions and templates, which two source
// files share.
#pragma once

#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/platform/hosted/checks.hpp"

namespace nmisafe::marker::test {

inline void inline_mark(unsigned value) {
    trace_mark(test, in_inline, "value %u", value);
}

template <typename T>
void template_mark(T value) {
    trace_mark(test, in_template, "value %d", static_cast<int>(value));
    _trace_mark(test, in_template, "value %d", static_cast<int>(value));
}

struct class_with_mark {
    unsigned member = 7;
    void mark() const {
        const auto in_lambda = [this] { trace_mark(test, in_member, "member %u", member); };
        in_lambda();
    }
};

// hosted_other_test.cpp
void other_marks(unsigned value);
void dead_function();

// hosted_joined_test.cpp
void test_joined_table();

} // namespace nmisafe::marker::test
