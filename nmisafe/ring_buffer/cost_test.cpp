// SPDX-License-Identifier: MIT
// How many instructions an event takes, counted as they are executed.
#include "nmisafe/platform/fake/single_step.hpp"
#include "nmisafe/ring_buffer/journal_test.hpp"
#include "nmisafe/x86/tsc.hpp"

using namespace nmisafe;
using namespace nmisafe::ring_buffer;
using platform::fake::boundary;
using platform::fake::step_through;

namespace {

struct tsc_clock {
    [[NMISAFE_TRAP_INLINE]] uint64_t read() const { return x86::read_tsc(); }
};

struct [[gnu::packed, gnu::may_alias]] sixteen_bytes {
    uint64_t first;
    uint64_t second;
};

[[gnu::noinline]] void record(header& in, uint32_t id, uint64_t first, uint64_t second) {
    const reservation mine = reserve(in, id, sizeof(sixteen_bytes), tsc_clock{});
    if (!mine)
        return;
    auto& to = *reinterpret_cast<sixteen_bytes*>(mine.payload);
    to.first = first;
    to.second = second;
    commit(in, mine);
}

[[gnu::noinline]] void nothing(header&, uint32_t, uint64_t, uint64_t) {
    asm volatile("");
}

// From the first instruction of the function to its RET, both included.
unsigned instructions(void (*function)(header&, uint32_t, uint64_t, uint64_t)) {
    header& in = *journal::in;
    return step_through([&] { function(in, 1, 2, 3); }, [](const boundary&) {});
}

unsigned cost() {
    constexpr unsigned only_ret = 1;
    return instructions(record) - instructions(nothing) + only_ret;
}

} // namespace

TEST_CASE("what an event of 16 bytes costs, recorded and lost") {
    journal::begin(mode::discard, 4096, 4);
    record(*journal::in, 1, 2, 3); // opens the packet
    record(*journal::in, 1, 2, 3); // and this one has the time's high bits
    unsigned recorded = ~0u;
    for (unsigned i = 0; i < 10; ++i) // but for one that happens to find new high bits
        recorded = std::min(recorded, cost());
    uint32_t before;
    do {
        before = journal::in->offset;
        record(*journal::in, 1, 2, 3);
    } while (journal::in->offset != before);
    const unsigned lost = cost();
    MESSAGE("recorded: ", recorded, " instructions, lost: ", lost);
#ifdef __clang__
    constexpr unsigned more = 25;
#else
    constexpr unsigned more = 0;
#endif
    constexpr bool is_64 = sizeof(void*) == 8;
    CHECK(recorded > 20);
    CHECK(recorded <= (is_64 ? 82 : 98) + more);
    CHECK(lost <= (is_64 ? 122 : 138) + more);
}
