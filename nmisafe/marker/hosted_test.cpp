// SPDX-License-Identifier: MIT
// Markers in a program that patches itself, with SIGTRAP as the breakpoint: the table, every type
// of argument, every step of a patch, and another thread that hits a marker whose probes come and
// go.
//
// Built for -O0 to -O3, both widths, ld and lld with --gc-sections; see CMakeLists.txt.
#include "nmisafe/marker/hosted_test.hpp"
#include "nmisafe/platform/hosted/nmisafe_platform.hpp"
#include "nmisafe/platform/hosted/rounds.hpp"

#include <cstdio>
#include <cstring>
#include <pthread.h>

namespace nmisafe::marker::test {
namespace {

namespace hosted = platform::hosted;

text_patch::patch workspace[64];

constexpr size_t most_values = 8;

/// What a probe has seen.
struct log {
    unsigned calls;
    const marker* which;
    size_t count;
    uint64_t values[most_values];
};

void note(const marker& which, void* private_data, const arguments& values) {
    log& mine = *static_cast<log*>(private_data);
    ++mine.calls;
    mine.which = &which;
    mine.count = values.size();
    for (size_t i = 0; i < values.size(); ++i)
        mine.values[i] = values[i].as_unsigned();
}

/// A probe for as long as its scope lasts.
struct scoped_probe {
    explicit scoped_probe(const char* name, const char* format = nullptr) : one(note, &seen) {
        CHECK(register_probe("test", name, format, one).has_value());
    }
    ~scoped_probe() {
        CHECK(unregister_probe(one).has_value());
        CHECK(synchronise().has_value());
    }
    scoped_probe(const scoped_probe&) = delete;
    scoped_probe& operator=(const scoped_probe&) = delete;

    log seen{};
    probe one;
};

unsigned count_named(const char* name) {
    unsigned count = 0;
    for (const marker& one : all_markers{})
        count += std::strcmp(one.channel(), "test") == 0 && std::strcmp(one.name(), name) == 0;
    return count;
}

struct packed_word {
    char before;
    uint32_t word;
} __attribute__((packed));

[[gnu::noinline]] void mark_of_this_file(unsigned value) {
    trace_mark(test, in_both_files, "value %u", value);
}

void test_table() {
    for (const char* name :
         {"in_inline", "in_template", "in_member", "in_both_files", "types", "none", "loaded"})
        CHECK(count_named(name) == 1);
    for (const marker& one : all_markers{}) {
        CHECK(!one.is_on());
        CHECK(one.argument_count() <= most_arguments);
        CHECK(parse_format(one.format()).count == one.argument_count());
        for (const marker& other : all_markers{})
            CHECK(&one == &other || std::strcmp(one.name(), other.name()) != 0);
    }
}

unsigned evaluated;

unsigned evaluate() {
    return ++evaluated;
}

void test_dormant() {
    trace_mark(test, evaluates, "%u", evaluate());
    _trace_mark(test, evaluates, "%u", evaluate());
    CHECK(evaluated == 0);
    const scoped_probe on("evaluates");
    trace_mark(test, evaluates, "%u", evaluate());
    CHECK(evaluated == 1 && on.seen.values[0] == 1);
    _trace_mark(test, evaluates, "%u", evaluate());
    CHECK(evaluated == 2 && on.seen.values[0] == 2);
}

/// All statements of a marker, wherever they are, and no other.
void test_places() {
    const scoped_probe unrelated("types");
    {
        const scoped_probe on("in_inline", "value %u");
        inline_mark(5);
        CHECK(on.seen.calls == 1 && on.seen.values[0] == 5);
        other_marks(6);
        CHECK(on.seen.calls == 2 && on.seen.values[0] == 6);
    }
    {
        const scoped_probe on("in_template");
        template_mark(5);
        CHECK(on.seen.calls == 2 && on.seen.values[0] == 5);
        template_mark(uint8_t{7});
        CHECK(on.seen.calls == 4 && on.seen.values[0] == 7);
        other_marks(6);
        CHECK(on.seen.calls == 8);
    }
    {
        const scoped_probe on("in_member");
        class_with_mark{}.mark();
        CHECK(on.seen.calls == 1 && on.seen.values[0] == 7);
        other_marks(6);
        CHECK(on.seen.calls == 2 && on.seen.values[0] == 6);
    }
    {
        const scoped_probe on("in_both_files");
        mark_of_this_file(1);
        other_marks(2);
        CHECK(on.seen.calls == 2 && on.seen.values[0] == 2);
    }
    CHECK(unrelated.seen.calls == 0);
}

void test_types() {
    struct {
        unsigned bits : 5;
    } field = {21};
    const packed_word packed = {0, 0x12345678};
    const scoped_probe on("types", "%d %llx %hhu%c %p [%s] %zu %x");
    trace_mark(test, types, "%d %llx %hhu%c %p [%s] %zu %x", -2, 0x123456789abcdefULL, uint8_t{200},
               'c', &packed, "text", sizeof(packed), field.bits + packed.word);
    CHECK(on.seen.calls == 1 && on.seen.count == 8);
    CHECK(argument(on.seen.which->argument(0), on.seen.values[0]).as_signed() == -2);
    CHECK(on.seen.values[1] == 0x123456789abcdefULL);
    CHECK(on.seen.values[2] == 200 && on.seen.values[3] == 'c');
    CHECK(argument(on.seen.which->argument(4), on.seen.values[4]).as_pointer() == &packed);
    CHECK(std::strcmp(argument(on.seen.which->argument(5), on.seen.values[5]).as_string(),
                      "text") == 0);
    CHECK(on.seen.values[6] == sizeof packed && on.seen.values[7] == 21 + 0x12345678);
    const scoped_probe nothing("none");
    trace_mark(test, none, MARK_NOARGS);
    CHECK(nothing.seen.calls == 1 && nothing.seen.count == 0);
    const scoped_probe loaded("loaded");
    _trace_mark(test, loaded, "%u", packed.word);
    CHECK(loaded.seen.calls == 1 && loaded.seen.values[0] == 0x12345678);
}

void test_errors() {
    log seen{};
    probe one(note, &seen);
    const auto wrong = register_probe("test", "in_both_files", "value %x", one);
    CHECK(!wrong && wrong.error() == marker_error::format_mismatch);
    immediate::use_workspace(workspace, 0);
    const auto no_room = register_probe("test", "in_both_files", "value %u", one);
    CHECK(!no_room && no_room.error() == marker_error::no_room);
    immediate::use_workspace(workspace, sizeof workspace / sizeof workspace[0]);
    mark_of_this_file(1);
    CHECK(seen.calls == 0);
    CHECK(register_probe("test", "in_both_files", "value %u", one).has_value());
    mark_of_this_file(1);
    CHECK(seen.calls == 1);
    CHECK(unregister_probe(one).has_value());
}

// --- every step of a patch ----------------------------------------------------------------------

unsigned step;
unsigned step_calls[4];
log step_log;

void look() {
    const unsigned before = step_log.calls;
    mark_of_this_file(step);
    inline_mark(step);
    step_calls[step++] = step_log.calls - before;
}

/// The marker is on or off at each step, and changes once: the sites hold INT3 at the first two.
void test_steps() {
    probe one(note, &step_log);
    const uint32_t breakpoints = hosted::process.breakpoints;
    hosted::process.after_synchronise = look;
    CHECK(register_probe("test", "in_both_files", nullptr, one).has_value());
    hosted::process.after_synchronise = nullptr;
    // Turned on, and the probe not yet in the list.
    CHECK(step == 3 && step_calls[0] + step_calls[1] + step_calls[2] == 0);
    mark_of_this_file(9);
    CHECK(step_log.calls == 1 && step_log.values[0] == 9);
    step = 0;
    hosted::process.after_synchronise = look;
    CHECK(unregister_probe(one).has_value());
    hosted::process.after_synchronise = nullptr;
    // Out of the list, and only then turned off.
    CHECK(step == 3 && step_calls[0] + step_calls[1] + step_calls[2] == 0);
    CHECK(hosted::process.breakpoints - breakpoints >= 4);
}

// --- another thread -----------------------------------------------------------------------------

platform::hosted::rounds rounds;

/// A probe's memory, which is not to be touched while it is not the probe's.
struct borrowed {
    bool lent;
    unsigned calls;
    unsigned late;
    unsigned wrong;
};
borrowed memory;

void note_borrowed(const marker&, void* private_data, const arguments& values) {
    auto& mine = *static_cast<borrowed*>(private_data);
    if (mine.calls % 4 == 3)
        sched_yield(); // a hit in progress when the probe is taken out
    if (!__atomic_load_n(&mine.lent, __ATOMIC_RELAXED))
        ++mine.late;
    if (values[0].as_unsigned() != 0x5a5a5a5a)
        ++mine.wrong;
    __atomic_store_n(&mine.calls, mine.calls + 1, __ATOMIC_RELAXED);
}

void* hit_marker(void*) {
    nmisafe_platform::begin_thread();
    while (rounds.go_on()) {
        mark_of_this_file(0x5a5a5a5a);
        rounds.end_one();
    }
    nmisafe_platform::end_thread();
    return nullptr;
}

/// The probe is registered, called, unregistered and, after synchronise(), not called any more. The
/// thread hits the marker at each step of a patch.
unsigned test_threads() {
    constexpr unsigned turns = 200;
    probe one(note_borrowed, &memory);
    pthread_t thread;
    CHECK(pthread_create(&thread, nullptr, hit_marker, nullptr) == 0);
    const uint32_t breakpoints = hosted::process.breakpoints;
    hosted::process.after_synchronise = [] { rounds.wait_for_one(); };
    for (unsigned i = 0; i < turns; ++i) {
        const unsigned before = __atomic_load_n(&memory.calls, __ATOMIC_RELAXED);
        __atomic_store_n(&memory.lent, true, __ATOMIC_RELAXED);
        CHECK(register_probe("test", "in_both_files", "value %u", one).has_value());
        platform::hosted::wait_until(
            [=] { return __atomic_load_n(&memory.calls, __ATOMIC_RELAXED) != before; });
        CHECK(unregister_probe(one).has_value());
        CHECK(synchronise().has_value());
        __atomic_store_n(&memory.lent, false, __ATOMIC_RELAXED);
        rounds.wait_for_one();
    }
    hosted::process.after_synchronise = nullptr;
    rounds.stop();
    pthread_join(thread, nullptr);
    CHECK(memory.late == 0 && memory.wrong == 0);
    CHECK(memory.calls >= turns && hosted::process.breakpoints - breakpoints >= turns);
    return turns;
}

} // namespace

extern "C" int main() {
    if (!hosted::set_up(text_patch::handle_breakpoint)) {
        std::printf("this system does not let a program change its own code\n");
        return 1;
    }
    immediate::use_workspace(workspace, sizeof workspace / sizeof workspace[0]);
    test_table();
    test_dormant();
    test_places();
    test_types();
    test_errors();
    test_steps();
    test_joined_table();
    const unsigned turns = hosted::process.one_thread_only ? 0 : test_threads();
    std::printf("checks %u, failures %u, breakpoints %u, turns with another thread %u\n",
                hosted::checks, hosted::failures, hosted::process.breakpoints, turns);
    return hosted::failures == 0 ? 0 : 1;
}

} // namespace nmisafe::marker::test
