// SPDX-License-Identifier: MIT
// Code to be probed, and room for slots, in the text of the fake platform; what is asked of
// insert().
#pragma once

#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"

#include <algorithm>
#include <doctest/doctest.h>
#include <vector>

namespace nmisafe::kprobe::test {

using bytes = std::vector<uint8_t>;
using fake = nmisafe_platform;

inline constexpr uintptr_t function = 0x40000000;
inline constexpr uintptr_t slots = function + 0x100;
inline constexpr uintptr_t text_end = function + 0x180;

/// Code at the begin of the text, two slots' worth of INT3 and what else is at its end.
inline void place(const bytes& code) {
    bytes text(text_end - function, 0xcc);
    std::copy(code.begin(), code.end(), text.begin());
    fake::reset();
    fake::text.place(function, text);
}

/// mov $5, %eax; push; pop; jmp .; ret
inline const bytes ordinary = {0xb8, 5, 0, 0, 0, 0x50, 0x58, 0xeb, 0xfe, 0xc3};

inline probe at(unsigned offset, uintptr_t slot = slots) {
    probe what{};
    what.address = function + offset;
    what.function = function;
    what.slot = slot;
    return what;
}

/// Inserts for one test.
class inserted {
  public:
    explicit inserted(probe& what) : what_(what) { REQUIRE(insert(what).has_value()); }
    ~inserted() {
        CHECK(remove(what_).has_value());
        CHECK(release(what_).has_value());
    }
    inserted(const inserted&) = delete;
    inserted& operator=(const inserted&) = delete;

  private:
    probe& what_;
};

inline void check_refused(probe what, probe_error why) {
    const bytes before = fake::text.bytes;
    const unsigned writes = fake::text_writes;
    const unsigned synchronisations = fake::synchronisations;
    const auto result = insert(what);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error() == why);
    CHECK(fake::text_writes == writes);
    CHECK(fake::synchronisations == synchronisations);
    CHECK(fake::text.bytes == before);
    CHECK(internal::all.sites.find(what.address) != &what);
    CHECK(internal::all.slots.find(what.slot) != &what);
}

} // namespace nmisafe::kprobe::test
