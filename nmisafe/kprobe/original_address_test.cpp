// SPDX-License-Identifier: MIT
// Which instruction an address in a slot stands for.
#include "nmisafe/kprobe/insert_test.hpp"

using namespace nmisafe::kprobe;
using namespace nmisafe::kprobe::test;

TEST_CASE("addresses in a slot are the instruction's, and the next one's behind its copy") {
    place(ordinary);
    probe what = at(0);
    REQUIRE(insert(what).has_value());
    CHECK(original_address(slots - 1) == slots - 1);
    CHECK(original_address(slots) == function);
    CHECK(original_address(slots + 4) == function);
    CHECK(original_address(slots + 5) == function + 5); // the copy has been executed
    CHECK(original_address(slots + 31) == function + 5);
    CHECK(original_address(slots + 32) == slots + 32);
    CHECK(original_address(function) == function);
    CHECK(remove(what).has_value());
    CHECK(original_address(slots + 1) == function);
    CHECK(release(what).has_value());
    CHECK(original_address(slots + 1) == slots + 1);
}

TEST_CASE("addresses in a slot that has more than a copy are all the instruction's") {
    for (const bytes& code :
         {bytes{0xe8, 0, 0x10, 0, 0}, bytes{0xff, 0xd0}, bytes{0xff, 0xe0}, bytes{0xc3}}) {
        place(code);
        probe what = at(0);
        const inserted one(what);
        for (const uintptr_t offset : {0u, 1u, 2u, 3u, 4u, 13u, 14u, 31u})
            CHECK(original_address(slots + offset) == function);
    }
}
