// SPDX-License-Identifier: MIT
// insert() while others patch the same code, or insert probes.
#include "nmisafe/kprobe/insert_test.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

using namespace nmisafe::kprobe;
using namespace nmisafe::kprobe::test;
using nmisafe::x86::trap_frame;

namespace {

void check_error(probe& what, probe_error why) {
    const auto result = insert(what);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error() == why);
}
void check_busy(probe& what) {
    check_error(what, probe_error::busy);
}
/// Whoever writes so uses no text_patch: that it is over nobody can say.
void check_unexpected(probe& what) {
    check_error(what, probe_error::unexpected_bytes);
}

} // namespace

TEST_CASE("an instruction that is patched between the checks and the INT3") {
    place(ordinary);
    static bool patched;
    patched = false;
    const auto set_to_6 = [] {
        nmisafe::text_patch::patch change{};
        change.address = function;
        change.size = 5;
        change.before[0] = change.after[0] = 0xb8;
        change.before[1] = 5;
        change.after[1] = 6; // behind the first byte
        fake::observer = nullptr;
        fake::before_read = nullptr;
        patched = nmisafe::text_patch::apply(&change, 1).has_value();
    };
    fake::observer = set_to_6; // while the slot is written
    probe what = at(0);
    check_busy(what);
    CHECK(patched);
    CHECK(fake::text.bytes[0] == 0xb8);
    CHECK(fake::text.bytes[1] == 6);
    CHECK(fake::synchronisations == 1 + 3 + 1); // no INT3 of the probe's
    CHECK(internal::all.sites.find(function) == nullptr);
    {
        const inserted again(what); // and it runs what is there now
        CHECK(fake::text.bytes[slots - function + 1] == 6);
    }
    // Without a slot there is nothing to wait for in between. So at the last read:
    const uint8_t jump[] = {0xe9, 0, 0, 0, 0};
    for (unsigned i = 0; i < sizeof jump; ++i)
        fake::text.write(function + i, jump[i]);
    static unsigned reads;
    reads = 0;
    fake::before_read = [] { ++reads; };
    probe emulated = at(0, 0);
    { const inserted one(emulated); }
    fake::before_read = [] {
        if (reads-- == 2) // that of the removal comes behind it
            fake::text.write(function + 1, 7);
    };
    check_unexpected(emulated);
    fake::before_read = nullptr;
    CHECK(fake::text.bytes[0] == 0xe9);
}

TEST_CASE("while others patch") {
    place(ordinary);
    // Once the checks are over, somebody writes to the site.
    fake::observer = [] { fake::text.write(function, 0xb9); };
    probe what = at(0);
    check_unexpected(what);
    fake::observer = nullptr;
    trap_frame frame{};
    frame.ip = function + 1;
    CHECK(handle_breakpoint(frame)); // nobody's, but gone
    CHECK(frame.ip == function);
    const inserted again(what); // and nothing of it is left

    // An insert() inside another one, as if on another CPU.
    probe other = at(5, slots + 32);
    bool asked = false;
    fake::observer = [&] {
        if (asked)
            return;
        asked = true;
        probe third = at(6, slots + 64);
        check_busy(third);
    };
    const inserted two(other);
    fake::observer = nullptr;
    CHECK(asked);
}

TEST_CASE("where a patch is half done no instruction can be told") {
    place(ordinary);
    static unsigned tries;
    tries = 0;
    fake::observer = [] {
        if (fake::text.bytes[0] != 0xcc)
            return;
        ++tries;
        probe on_it = at(0);
        check_busy(on_it);
        probe behind = at(5); // its walk would begin in the middle of the patch
        check_busy(behind);
    };
    nmisafe::text_patch::patch change{function, 0, 0, 0, 5, 0, {0xb8, 5}, {0xb8, 6}, {}};
    CHECK(nmisafe::text_patch::apply(&change, 1).has_value());
    fake::observer = nullptr;
    CHECK(tries != 0);
    probe behind = at(5);
    const inserted after(behind);
}
