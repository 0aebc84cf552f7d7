// SPDX-License-Identifier: MIT
// An expected cannot be dropped, read on the wrong side in a constant expression, or hold what
// needs a destructor.
//
// error 1: ignoring return|nodiscard
// error 2: constant expression|non-constant condition
// error 3: trivially copyable values
#include "nmisafe/base/expected.hpp"

using nmisafe::base::expected;
using nmisafe::base::unexpected;

enum class reason : uint8_t { none = 1 };

constexpr expected<int, reason> nothing() {
    return unexpected(reason::none);
}

int use();
int use() {
#if EXPECT_ERROR == 1
    nothing();
#endif
    return nothing().value_or(1);
}

static_assert(!nothing().has_value());
#if EXPECT_ERROR == 2
static_assert(*nothing() == 0);
#endif

struct with_destructor {
    ~with_destructor() {}
};
#if EXPECT_ERROR == 3
expected<with_destructor, reason> owner();
bool use(const expected<with_destructor, reason>& one) {
    return one.has_value();
}
#endif
