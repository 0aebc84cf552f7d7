// SPDX-License-Identifier: MIT
// Two CPUs compare their counters; one of them lies.
#include "nmisafe/clock/synchrony.hpp"

#include <doctest/doctest.h>

#include <thread>

using namespace nmisafe;
using clock::synchrony;

namespace {

struct skewed {
    static inline thread_local uint64_t skew = 0;
    static uint64_t read() { return x86::read_tsc() + skew; }
};

constexpr uint32_t patience = 2'000'000'000; // a loaded machine may run the other one late

struct verdicts {
    synchrony mine;
    synchrony other;
};

verdicts compare(uint64_t skew) {
    clock::synchrony_check<skewed> check;
    synchrony other = synchrony::alone;
    std::thread second([&] {
        skewed::skew = skew;
        other = check.run(1, 50, patience);
    });
    const synchrony mine = check.run(0, 50, patience);
    second.join();
    return {mine, other};
}

} // namespace

TEST_CASE("counters that agree are found together, by both sides") {
    const auto found = compare(0);
    CHECK(found.mine == synchrony::together);
    CHECK(found.other == synchrony::together);
}

TEST_CASE("control: a counter that is ahead, or behind, is found apart by both sides") {
    constexpr uint64_t much = uint64_t{1} << 50; // no scheduler holds a thread back so long
    for (const uint64_t skew : {much, 0 - much}) {
        const auto found = compare(skew);
        CHECK(found.mine == synchrony::apart);
        CHECK(found.other == synchrony::apart);
    }
}

TEST_CASE("a CPU without another one waits as long as it was told") {
    clock::synchrony_check<skewed> check;
    CHECK(check.run(1, 10, 1000) == synchrony::alone);
    clock::synchrony_check<skewed> half;
    CHECK(half.run(0, 10, 1000) == synchrony::alone);
}
