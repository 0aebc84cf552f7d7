// SPDX-License-Identifier: MIT
/// Checks of a program that is built for each width, optimisation and linker: to compile a test
/// framework so often would take longer than the rest. Hosted code, for tests only.
#pragma once

#include <cstdio>

namespace nmisafe::platform::hosted {

inline unsigned checks;
inline unsigned failures;

/// What a test has to say of the state it is in when a check fails.
inline void (*say_state)() = nullptr;

inline void check(bool condition, const char* what, const char* file, int line) {
    constexpr unsigned most_said = 20; // who reads the log wants the first ones
    ++checks;
    if (condition)
        return;
    ++failures;
    if (failures <= most_said) {
        std::printf("%s:%d: check %u failed: %s\n", file, line, checks, what);
        if (say_state != nullptr)
            say_state();
    }
    std::fflush(stdout); // what follows may end the program
}

} // namespace nmisafe::platform::hosted

#define CHECK(condition)                                                                           \
    nmisafe::platform::hosted::check((condition), #condition, __FILE__, __LINE__)
