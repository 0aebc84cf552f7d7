// SPDX-License-Identifier: MIT
// The hosted test's third source file: an image that joins, which has a marker of the program's
// too: there it is patched, here a flag is loaded. And another thread that goes on hitting while
// the image comes and goes.
#include "nmisafe/marker/hosted_test.hpp"
#include "nmisafe/marker/join_test.hpp"
#include "nmisafe/platform/hosted/nmisafe_platform.hpp"
#include "nmisafe/platform/hosted/rounds.hpp"

#include <pthread.h>

namespace nmisafe::marker::test {

namespace {

namespace hosted = platform::hosted;

image joining;

[[gnu::noinline]] void hit_program(unsigned value) {
    trace_mark(join, shared, "value %u", value);
}

struct counts {
    unsigned program;
    unsigned image;
};

void count(const marker& which, void* private_data, const arguments&) {
    auto& mine = *static_cast<counts*>(private_data);
    ++(&which == &joining.shared() ? mine.image : mine.program);
}

void hit_both() {
    hit_program(1);
    joining.hit_shared(1);
}

void test_values() {
    counts seen{};
    probe one(count, &seen);
    CHECK(register_probe("join", "shared", "value %u", one).has_value());
    hit_both();
    CHECK(seen.program == 1 && seen.image == 0);
    CHECK(join(joining.range).has_value());
    hit_both();
    CHECK(seen.program == 2 && seen.image == 1);
    CHECK(unregister_probe(one).has_value() && synchronise().has_value());
    hit_both();
    CHECK(seen.program == 2 && seen.image == 1);
    CHECK(register_probe("join", "shared", "value %u", one).has_value());
    hit_both();
    CHECK(seen.program == 3 && seen.image == 2);
    CHECK(leave(joining.range).has_value());
    hit_both();
    CHECK(seen.program == 4 && seen.image == 2);
    CHECK(unregister_probe(one).has_value() && synchronise().has_value());
}

platform::hosted::rounds rounds;

struct borrowed {
    bool lent; // the probe and the image may be looked at
    unsigned calls;
    unsigned late;
};
borrowed memory;

void note(const marker& which, void* private_data, const arguments& values) {
    auto& mine = *static_cast<borrowed*>(private_data);
    if (mine.calls % 4 == 3)
        sched_yield(); // a hit in progress when the image leaves
    mine.late += !__atomic_load_n(&mine.lent, __ATOMIC_RELAXED);
    mine.late += values.size() != which.argument_count();
    __atomic_store_n(&mine.calls, mine.calls + 1, __ATOMIC_RELAXED);
}

void* hit_image(void*) {
    nmisafe_platform::begin_thread();
    while (rounds.go_on()) {
        joining.hit_own();
        hit_both();
        unsigned all = 0; // as all_markers has it
        nmisafe_platform::add_preempt_count(1);
        for (const marker& each : all_markers{})
            all += each.argument_count() <= 16;
        nmisafe_platform::add_preempt_count(0U - 1);
        if (all != 0)
            rounds.end_one();
    }
    nmisafe_platform::end_thread();
    return nullptr;
}

/// After leave() and synchronise() nobody calls the probes, though the thread goes on hitting.
void test_thread() {
    pthread_t thread;
    CHECK(pthread_create(&thread, nullptr, hit_image, nullptr) == 0);
    for (unsigned i = 0; i < 100; ++i) {
        probe own(note, &memory);
        const unsigned before = __atomic_load_n(&memory.calls, __ATOMIC_RELAXED);
        __atomic_store_n(&memory.lent, true, __ATOMIC_RELAXED);
        CHECK(join(joining.range).has_value());
        CHECK(register_probe("join", "own", nullptr, own).has_value());
        platform::hosted::wait_until(
            [=] { return __atomic_load_n(&memory.calls, __ATOMIC_RELAXED) != before; });
        const auto left = leave(joining.range);
        CHECK(left && *left == 1);
        CHECK(synchronise().has_value());
        __atomic_store_n(&memory.lent, false, __ATOMIC_RELAXED);
        rounds.wait_for_one();
    }
    rounds.stop();
    pthread_join(thread, nullptr);
    CHECK(memory.late == 0);
}

} // namespace

void test_joined_table() {
    test_values();
    if (!hosted::process.one_thread_only)
        test_thread();
}

} // namespace nmisafe::marker::test
