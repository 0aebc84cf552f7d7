// SPDX-License-Identifier: MIT
// For tests of images that come and go, on the fake platform: two of them, and a probe's function
// that notes who was called.
#pragma once

#include "nmisafe/marker/join_test.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"

#include <doctest/doctest.h>
#include <new>
#include <string>

namespace nmisafe::marker::test {

inline std::string calls; // one letter a call
inline const marker* last_hit;
inline char letters[] = "abcd"; // private data of probes

inline void note(const marker& which, void* private_data, const arguments&) {
    calls += *static_cast<const char*>(private_data);
    last_hit = &which;
}

/// Whatever the format.
inline auto add(const char* name, probe& one) {
    return register_probe("join", name, nullptr, one);
}

/// The images stand in memory that a test may not reuse: static, and made anew by each.
struct two_images {
    alignas(image) static inline char storage[2][sizeof(image)];
    image& first = *new (storage[0]) image;
    image& second = *new (storage[1]) image;

    two_images() {
        nmisafe_platform::reset();
        calls.clear();
    }
    ~two_images() {
        nmisafe_platform::reset();
        (void)leave(first.range);
        (void)leave(second.range);
        CHECK(synchronise());
        for (const marker& one : all_markers{})
            CHECK(one.arm_count() == 0);
    }
    two_images(const two_images&) = delete;
    two_images& operator=(const two_images&) = delete;
};

} // namespace nmisafe::marker::test
