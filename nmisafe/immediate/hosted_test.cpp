// SPDX-License-Identifier: MIT
// Immediate values in a program that patches itself, with SIGTRAP as the breakpoint: every type,
// sites in several files, every step of a patch executed by this thread and, where the system can
// synchronise threads, at any moment by another one.
//
// Built for -O0 to -O3, both widths, ld and lld with --gc-sections; see CMakeLists.txt.
#include "nmisafe/immediate/hosted_test.hpp"
#include "nmisafe/platform/hosted/nmisafe_platform.hpp"
#include "nmisafe/platform/hosted/rounds.hpp"

#include <cstdio>
#include <pthread.h>

extern "C" const nmisafe::immediate::site __start_nmisafe_immediate_sites[];

namespace nmisafe::immediate::test {

constinit immediate<bool> flag;
constinit immediate<bool, true> flag_on;
constinit immediate<uint8_t, 0x12> byte;
constinit immediate<int16_t, -2> half;
constinit immediate<colour, colour::green> paint;
constinit immediate<uint32_t, 0xdeadbeef> word;
constinit immediate<int32_t> signed_word;
constinit immediate<const char*> pointer;
#ifdef __x86_64__
constinit immediate<uint64_t, 0x0123456789abcdef> wide;
constinit immediate<int64_t, -1> signed_wide;
#endif

namespace {

using text_patch::patch_error;
namespace hosted = platform::hosted;

text_patch::patch workspace[256];

/// The value as all sites of a key in this file read it. noinline, so that each has its sites once.
template <auto& Key>
[[gnu::noinline]] auto value() {
    return read<Key>();
}

template <auto& Key, typename T>
void check_values(std::initializer_list<T> values) {
    for (const T one : values) {
        CHECK(set(Key, one).has_value());
        CHECK(value<Key>() == one);
        CHECK(Key.stored() == one);
    }
}

void test_types() {
    CHECK(!value<flag>() && value<flag_on>());
    CHECK(value<byte>() == 0x12);
    CHECK(value<half>() == -2);
    CHECK(value<paint>() == colour::green);
    CHECK(value<word>() == 0xdeadbeef);
    CHECK(value<signed_word>() == 0);
    CHECK(value<pointer>() == nullptr);
    check_values<flag, bool>({true, false, true, false});
    check_values<flag_on, bool>({false, true});
    check_values<byte, uint8_t>({0, 1, 0x7f, 0x80, 0xff, 0x12});
    check_values<half, int16_t>({0, -1, INT16_MIN, INT16_MAX, 7});
    check_values<paint, colour>({colour::red, colour::blue, colour::green});
    check_values<word, uint32_t>({0, 1, 0x80000000, 0xffffffff, 0xcccccccc});
    check_values<signed_word, int32_t>({-1, INT32_MIN, INT32_MAX, 0});
    check_values<pointer, const char*>({"text", nullptr, &etext[0]});
#ifdef __x86_64__
    CHECK(value<wide>() == 0x0123456789abcdef);
    CHECK(value<signed_wide>() == -1);
    check_values<wide, uint64_t>({0, 1, 1ULL << 63, ~0ULL, 0x8080808080808080});
    check_values<signed_wide, int64_t>({0, INT64_MIN, INT64_MAX});
#endif
}

/// Every site of a key changes, wherever it is.
void check_word(uint32_t expected) {
    CHECK(set(word, expected).has_value());
    CHECK(value<word>() == expected);
    CHECK(inline_word() == expected);
    CHECK(template_word(uint32_t{1}) == expected + 1);
    CHECK(template_word(uint16_t{1}) == static_cast<uint16_t>(expected + 1));
    CHECK(other_word() == expected);
    CHECK(other_template_word() == 2 * expected + 2);
}

void test_files() {
    check_word(5);
    check_word(0x12345678);
    for (const bool on : {true, false, true, false}) {
        CHECK(set(flag, on).has_value());
        CHECK(set(flag_on, on).has_value());
        CHECK(inline_branch() == (on ? 1U : 0U));
        CHECK(other_branch() == (on ? 3U : 0U));
        CHECK(other_branch_on() == (on ? 1U : 0U));
        CHECK(waits_until(on) == 1000 && waits_until(!on) == 0);
    }
}

/// Each entry of the table is a site of this program: a MOV of an immediate, a NOP or a jump.
void test_table() {
    CHECK(site_count() >= 16);
    CHECK(site_count(word.as_key()) >= 6);
    CHECK(site_count(flag.as_key()) >= 4);
    for (size_t i = 0; i < site_count(); ++i) {
        const site& one = __start_nmisafe_immediate_sites[i];
        CHECK(nmisafe_platform::is_text(one.code(), one.code() + one.size));
        const auto* code = reinterpret_cast<const uint8_t*>(one.code());
        if (one.kind == site_kind::branch) {
            CHECK(one.size == 5 && (code[0] == 0x0f || code[0] == 0xe9));
            continue;
        }
        const bool prefixed = (*code & 0xf0) == 0x40; // REX: R8 to R15, or 64 bits
        code += prefixed;
        CHECK((*code & 0xf8) == 0xb8 || *code == 0xc7);
        CHECK(one.size == (prefixed ? 6 : 5) || (prefixed && one.size == 10));
    }
}

void test_errors() {
    const uint32_t before = word.stored();
    nmisafe_platform::cpu.nmi_in_progress = 1;
    const auto in_nmi = set(word, before + 1);
    nmisafe_platform::cpu.nmi_in_progress = 0;
    CHECK(!in_nmi && in_nmi.error() == patch_error::in_nmi);
    use_workspace(workspace, 1);
    const auto no_room = set(word, before + 1);
    use_workspace(workspace, sizeof workspace / sizeof workspace[0]);
    CHECK(!no_room && no_room.error() == patch_error::no_room);
    CHECK(word.stored() == before && value<word>() == before && other_word() == before);
    const unsigned synchronisations = hosted::process.synchronisations;
    const auto same = set(word, before);
    CHECK(same && *same == 0 && hosted::process.synchronisations == synchronisations);
    const auto changed = set(word, before + 1);
    CHECK(changed && *changed == site_count(word.as_key()));
    CHECK(hosted::process.synchronisations == synchronisations + 3);
    hosted::process.after_synchronise = [] {
        const auto inside = set(signed_word, 1);
        CHECK(!inside && inside.error() == patch_error::busy);
    };
    CHECK(set(word, before).has_value());
    hosted::process.after_synchronise = nullptr;
}

// --- every step ---------------------------------------------------------------------------------

unsigned step;

/// Old while the sites hold INT3, new when they hold the new instruction.
void look() {
    ++step;
    const uint32_t expected = step < 3 ? 0xaaaaaaaa : 0x55555555;
    CHECK(value<word>() == expected);
    CHECK(inline_word() == expected);
    CHECK(other_word() == expected);
    CHECK(value<flag>() == false && inline_branch() == 0);
}

void test_steps() {
    CHECK(set(word, 0xaaaaaaaa).has_value());
    step = 0;
    const uint32_t breakpoints = hosted::process.breakpoints;
    hosted::process.after_synchronise = look;
    CHECK(set(word, 0x55555555).has_value());
    hosted::process.after_synchronise = nullptr;
    CHECK(step == 3);
    CHECK(hosted::process.breakpoints - breakpoints >= 2 * 5);
}

// --- another thread -----------------------------------------------------------------------------

hosted::rounds rounds;
unsigned wrong;

void* execute_sites(void*) {
    while (rounds.go_on()) {
        const uint32_t one = value<word>();
        const uint32_t other = inline_word();
        wrong += (one != 0xaaaaaaaa && one != 0x55555555);
        wrong += (other != 0xaaaaaaaa && other != 0x55555555);
        wrong += inline_branch() > 1;
        rounds.end_one();
    }
    return nullptr;
}

/// Toggles while another thread executes the sites, at any moment and at least once at each step.
unsigned test_threads() {
    constexpr unsigned toggles = 200;
    pthread_t thread;
    CHECK(pthread_create(&thread, nullptr, execute_sites, nullptr) == 0);
    hosted::process.after_synchronise = [] { rounds.wait_for_one(); };
    for (unsigned i = 0; i < toggles; ++i) {
        CHECK(set(word, i % 2 == 0 ? 0xaaaaaaaa : 0x55555555).has_value());
        CHECK(set(flag, i % 2 == 0).has_value());
    }
    hosted::process.after_synchronise = nullptr;
    rounds.stop();
    pthread_join(thread, nullptr);
    CHECK(wrong == 0);
    return toggles;
}

} // namespace

extern "C" int main() {
    if (!hosted::set_up(text_patch::handle_breakpoint)) {
        std::printf("this system does not let a program change its own code\n");
        return 1;
    }
    const auto too_early = set(word, 1);
    CHECK(!too_early && too_early.error() == patch_error::no_room);
    use_workspace(workspace, sizeof workspace / sizeof workspace[0]);
    test_types();
    test_files();
    test_table();
    test_errors();
    test_steps();
    test_joined_table();
    const uint32_t breakpoints = hosted::process.breakpoints;
    const unsigned toggles = hosted::process.one_thread_only ? 0 : test_threads();
    std::printf("checks %u, failures %u, sites %zu, toggles %u with %u breakpoints\n",
                hosted::checks, hosted::failures, site_count(), toggles,
                hosted::process.breakpoints - breakpoints);
    // Two steps of each toggle leave INT3 at the sites.
    if (hosted::process.breakpoints - breakpoints < 2 * toggles) {
        std::printf("too few breakpoints were hit by the other thread\n");
        return 1;
    }
    return hosted::failures == 0 ? 0 : 1;
}

} // namespace nmisafe::immediate::test
