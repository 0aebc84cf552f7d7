// SPDX-License-Identifier: MIT
/// Checks of a program that is built for each width, optimisation and linker: to compile a test
/// framework so often would take longer than the rest. Hosted code, for tests only.
#pragma once

#include <cstdio>

namespace nmisafe::platform::hosted {

inline unsigned checks;
inline unsigned failures;

inline void check(bool condition, const char* what, const char* file, int line) {
    ++checks;
    if (condition)
        return;
    ++failures;
    std::printf("%s:%d: %s\n", file, line, what);
}

} // namespace nmisafe::platform::hosted

#define CHECK(condition)                                                                           \
    nmisafe::platform::hosted::check((condition), #condition, __FILE__, __LINE__)
