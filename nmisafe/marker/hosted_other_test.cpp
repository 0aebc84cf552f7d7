// SPDX-License-Identifier: MIT
// The hosted test's second source file: the same markers again.
#include "nmisafe/marker/hosted_test.hpp"

namespace nmisafe::marker::test {

void other_marks(unsigned value) {
    inline_mark(value);
    template_mark(static_cast<unsigned char>(value));
    template_mark(static_cast<short>(value)); // of this file alone
    class_with_mark{value}.mark();
    trace_mark(test, in_both_files, "value %u", value);
}

/// Nobody calls it: with ld its marker stays, with lld it goes. Either links.
void dead_function() {
    trace_mark(test, in_dead_function, MARK_NOARGS);
}

} // namespace nmisafe::marker::test
