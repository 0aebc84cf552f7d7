// SPDX-License-Identifier: MIT
// The hosted test's third source file: a second table, as the loader of a module would find one,
// with sites of the program's keys and of one of its own.
#include "nmisafe/immediate/hosted_test.hpp"
#include "nmisafe/immediate/join.hpp"
#include "nmisafe/platform/hosted/nmisafe_platform.hpp"
#include "nmisafe/platform/hosted/rounds.hpp"

#include <pthread.h>

// A section of its own, whose entries are not in the program's table. The keys' names are those of
// `word` and `flag`, mangled.
asm(R"(
    .macro  joined_site code, end, key, target, kind
    .pushsection joined_sites, "a", @progbits
    .balign 4
    .long   \code - .
    .long   \key - .
    .long   \target
    .byte   \end - \code, \kind, 0, 0
    .popsection
    .endm

    .pushsection joined_sites, "a", @progbits
    .balign 4
    .globl  joined_sites_begin
joined_sites_begin:
    .popsection

    .pushsection .text.joined, "ax", @progbits
    .balign 16
    .globl  joined_code_begin, joined_code_end, joined_word, joined_flag, joined_own
joined_code_begin:
joined_word:
1:  movl    $0xdeadbeef, %eax
2:  ret
    joined_site 1b, 2b, _ZN7nmisafe9immediate4test4wordE, 0, 0
joined_flag:
1:  .byte   0x0f, 0x1f, 0x44, 0x00, 0x00
2:  xorl    %eax, %eax
    ret
3:  movl    $1, %eax
    ret
    joined_site 1b, 2b, _ZN7nmisafe9immediate4test4flagE, "3b - .", 1
joined_own:
1:  movl    $7, %eax
2:  ret
    joined_site 1b, 2b, joined_own_key, 0, 0
joined_code_end:
    .popsection

    .pushsection joined_sites, "a", @progbits
    .globl  joined_sites_end
joined_sites_end:
    .popsection
)");

extern "C" {
extern const nmisafe::immediate::site joined_sites_begin[];
extern const nmisafe::immediate::site joined_sites_end[];
extern const char joined_code_begin[];
extern const char joined_code_end[];
uint32_t joined_word();
unsigned joined_flag();
uint32_t joined_own();
extern char _end[]; // made by the linker
constinit nmisafe::immediate::immediate<uint32_t, 7> joined_own_key;
}

namespace nmisafe::immediate::test {

namespace {

namespace hosted = platform::hosted;

uintptr_t address_of(const void* what) {
    return reinterpret_cast<uintptr_t>(what);
}

site_range range = {};

void describe() {
    range.begin = joined_sites_begin;
    range.end = joined_sites_end;
    range.code = {address_of(joined_code_begin), address_of(joined_code_end)};
    range.data = {address_of(&joined_own_key), address_of(&joined_own_key + 1)};
    range.shared = {address_of(__executable_start), address_of(_end)};
}

unsigned step;

/// The code is executed while it joins: what it came with until the sites hold the new instruction.
void look() {
    ++step;
    CHECK(joined_word() == (step < 3 ? 0xdeadbeef : 5));
    CHECK(joined_flag() == (step < 3 ? 0 : 1));
    CHECK(joined_own() == 7);
}

void test_values() {
    const size_t sites = site_count();
    CHECK(set(word, 5).has_value() && set(flag, true).has_value());
    CHECK(joined_word() == 0xdeadbeef && joined_flag() == 0);
    hosted::process.after_synchronise = look;
    const auto joined = join(range);
    hosted::process.after_synchronise = nullptr;
    CHECK(joined && *joined == 2);
    CHECK(step == 3);
    CHECK(joined_word() == 5 && joined_flag() == 1 && joined_own() == 7);
    CHECK(site_count() == sites + 3);
    const auto all = set(word, 6);
    CHECK(all && *all == site_count(word.as_key()));
    CHECK(joined_word() == 6 && other_word() == 6);
    CHECK(set(joined_own_key, 8).has_value() && joined_own() == 8);
    const auto left = leave(range);
    CHECK(left && *left == 3);
    CHECK(set(word, 9).has_value() && set(flag, false).has_value());
    CHECK(joined_word() == 6 && joined_flag() == 1 && other_word() == 9);
    CHECK(site_count() == sites);
}

hosted::rounds rounds;
unsigned wrong;

void* execute_joined(void*) {
    while (rounds.go_on()) {
        const uint32_t one = joined_word();
        wrong += one != 0xaaaaaaaa && one != 0x55555555;
        wrong += joined_flag() > 1;
        rounds.end_one();
    }
    return nullptr;
}

/// Another thread executes the code while it joins, again and again, and at each step.
void test_thread() {
    CHECK(set(word, 0xaaaaaaaa).has_value() && join(range).has_value() && leave(range).has_value());
    pthread_t thread;
    CHECK(pthread_create(&thread, nullptr, execute_joined, nullptr) == 0);
    hosted::process.after_synchronise = [] { rounds.wait_for_one(); };
    for (unsigned i = 0; i < 50; ++i) {
        const uint32_t value = i % 2 == 0 ? 0x55555555 : 0xaaaaaaaa;
        CHECK(set(word, value).has_value() && set(flag, i % 2 == 0).has_value());
        const auto joined = join(range);
        CHECK(joined && *joined == 2);
        CHECK(joined_word() == value);
        CHECK(leave(range).has_value());
    }
    hosted::process.after_synchronise = nullptr;
    rounds.stop();
    pthread_join(thread, nullptr);
    CHECK(wrong == 0);
}

} // namespace

void test_joined_table() {
    describe();
    test_values();
    if (!hosted::process.one_thread_only)
        test_thread();
}

} // namespace nmisafe::immediate::test
