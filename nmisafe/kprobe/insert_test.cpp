// SPDX-License-Identifier: MIT
// What insert() refuses, before it writes a byte; what it writes, and in which order; removal.
// With others at work meanwhile: busy_test.cpp.
#include "nmisafe/kprobe/insert_test.hpp"

using namespace nmisafe::kprobe;
using namespace nmisafe::kprobe::test;
using nmisafe::x86::trap_frame;

namespace {

/// The first instruction of `code` is refused.
void check_code_refused(const bytes& code, probe_error why) {
    place(code);
    check_refused(at(0), why);
}

} // namespace

TEST_CASE("the contexts that must not wait for others") {
    place(ordinary);
    fake::cpu.nmi_in_progress = 1;
    check_refused(at(0), probe_error::in_nmi);
    probe what = at(0);
    CHECK(remove(what).error() == probe_error::in_nmi);
    CHECK(release(what).error() == probe_error::in_nmi);
    fake::cpu.nmi_in_progress = 0;
    fake::can_synchronise = false;
    check_refused(at(0), probe_error::cannot_synchronise);
}

TEST_CASE("instruction boundaries") {
    place(ordinary);
    check_refused(at(1), probe_error::not_boundary);
    check_refused(at(8), probe_error::not_boundary);
    probe before = at(0);
    before.function = function + 5;
    check_refused(before, probe_error::not_boundary);
    place({0xb8, 5, 0, 0, 0, 0x0f, 0xff, 0x62, 0x90}); // ud0, which the decoder does not know
    check_refused(at(5), probe_error::unknown_instruction);
    check_refused(at(8), probe_error::unknown_instruction);
}

TEST_CASE("places") {
    place(ordinary);
    probe outside = at(0);
    outside.address = outside.function = text_end;
    check_refused(outside, probe_error::not_text);
    outside.address = function;
    outside.function = function - 5;
    check_refused(outside, probe_error::not_text);

    fake::no_probe = {{function + 5, function + 6}};
    check_refused(at(5), probe_error::no_probe);
    fake::no_probe = {{function + 4, function + 6}};
    check_refused(at(0), probe_error::no_probe); // it reaches into such code
    probe next = at(6);
    const inserted first(next); // what is beside may be probed
    probe in_slot = at(0);
    in_slot.address = in_slot.function = slots;
    check_refused(in_slot, probe_error::no_probe);
}

TEST_CASE("an instruction that the text ends in") {
    place(ordinary);
    const uintptr_t last = text_end - 2;
    fake::text.write(last, 0xb8);
    probe what = at(0);
    what.address = what.function = last;
    check_refused(what, probe_error::unknown_instruction);
    fake::text.write(last, 0x89);
    fake::text.write(last + 1, 0xc0);
    const inserted good(what);
}

TEST_CASE("instructions") {
    check_code_refused({0xcc}, probe_error::unsupported);
    check_code_refused({0xcf}, probe_error::unsupported);
    check_code_refused({0xf4}, probe_error::unsupported);
    check_code_refused({0xfb, 0xf4}, probe_error::unsupported);             // sti; hlt
    check_code_refused({0xfb, 0xcf}, probe_error::unsupported);             // sti; iret
    check_code_refused({0xfb, 0x0f, 0x35}, probe_error::unsupported);       // sti; sysexit
    check_code_refused({0xfb, 0x0f, 0x01, 0xc9}, probe_error::unsupported); // sti; mwait
    check_code_refused({0xfb, 0x0f, 0xff}, probe_error::unsupported);       // sti; unknown
    place({0x8e, 0xd0, 0x90, 0x90, 0xfb, 0xc3}); // mov to ss; nop; nop; sti; ret
    check_refused(at(2), probe_error::unsupported);
    probe next = at(3);
    const inserted one(next);
    probe enable = at(4, slots + 32);
    const inserted two(enable);
}

TEST_CASE("slots") {
    place(ordinary);
    check_refused(at(0, 0), probe_error::no_slot);
    check_refused(at(0, slots + 1), probe_error::bad_slot);
    check_refused(at(0, text_end), probe_error::bad_slot);
    fake::no_probe = {{slots + 31, slots + 32}};
    check_refused(at(0), probe_error::bad_slot);
    fake::no_probe.clear();
    probe first = at(0);
    const inserted one(first);
    check_refused(at(5), probe_error::bad_slot);
    probe second = at(5, slots + 32);
    const inserted two(second);
    probe jump = at(7, 0);
    const inserted three(jump);
}

TEST_CASE("addresses at the end of the address space") {
    place(ordinary);
    for (const uintptr_t last : {~uintptr_t{0}, ~uintptr_t{0} - 3}) {
        probe what = at(0);
        what.address = what.function = last;
        check_refused(what, probe_error::not_text);
    }
    check_refused(at(0, ~uintptr_t{0} - slot_size + 1), probe_error::bad_slot);
}

TEST_CASE("a slot is nobody's code") {
    bytes code(0x60, 0x90);
    code[0x20] = 0x89; // mov, at the end of what is decoded
    code[0x21] = 0xd8;
    place(code);
    check_refused(at(0x20, function), probe_error::bad_slot);
    check_refused(at(0x20, function + 0x20), probe_error::bad_slot);
    probe other = at(0x40, 0);
    const inserted one(other);
    check_refused(at(0x20, function + 0x40), probe_error::bad_slot);
    probe moved = at(0x20, function + 0xa0);
    const inserted two(moved);
}

namespace {

/// Inserts, or is refused for its slot.
void check_slot_of(probe what, bool is_good) {
    if (is_good)
        const inserted one(what);
    else
        check_refused(what, probe_error::bad_slot);
}

/// NOPs, and at some offset a MOV of two bytes that needs a slot.
void place_mov_at(unsigned offset) {
    bytes code(0xa0, 0x90);
    code[offset] = 0x89;
    code[offset + 1] = 0xd8;
    place(code);
}

} // namespace

// A slot that only touches code is as good as any: what is overwritten ends where the other begins.
TEST_CASE("a slot directly before the function, behind the instruction, behind another probe's") {
    constexpr unsigned slot = 0x60;
    constexpr unsigned slot_end = slot + slot_size;
    for (const unsigned begin : {slot_end - 1, slot_end, slot_end + 1}) {
        CAPTURE(begin);
        place_mov_at(0x90);
        probe what = at(0x90, function + slot);
        what.function = function + begin;
        check_slot_of(what, begin >= slot_end);
    }
    for (const unsigned end : {slot + 1, slot, slot - 1}) {
        CAPTURE(end);
        place_mov_at(end - 2);
        check_slot_of(at(end - 2, function + slot), end <= slot);

        place_mov_at(0x20);
        fake::text.write(function + end - 2, 0xeb);
        probe jump = at(end - 2, 0);
        const inserted other(jump);
        check_slot_of(at(0x20, function + slot), end <= slot);
    }
    for (const unsigned begin : {slot_end - 1, slot_end, slot_end + 1}) {
        CAPTURE(begin);
        place_mov_at(0x20);
        probe nop = at(begin, 0);
        const inserted other(nop);
        check_slot_of(at(0x20, function + slot), begin >= slot_end);
    }
}

TEST_CASE("a probe is its owner's when no handler can be on its links any more") {
    place(ordinary);
    probe what = at(0);
    REQUIRE(insert(what).has_value());
    REQUIRE(remove(what).has_value());
    const unsigned before = fake::synchronisations;
    fake::observer = [] { CHECK(internal::all.slots.find(slots) == nullptr); };
    REQUIRE(release(what).has_value());
    CHECK(fake::synchronisations == before + 1);

    // Nor is one that insert() has had to take out again.
    bool changed = false;
    fake::observer = [&] {
        if (!changed)
            fake::text.write(function, 0xb9);
        changed = true;
    };
    CHECK(insert(what).error() == probe_error::unexpected_bytes);
    CHECK(fake::synchronisations == before + 3);
    fake::observer = nullptr;
}

TEST_CASE("a probe goes also when its INT3, or its code, has gone") {
    place(ordinary);
    for (const bool code_goes : {false, true}) {
        probe what = at(0);
        REQUIRE(insert(what));
        const auto begin = fake::text.begin;
        if (code_goes)
            fake::text.begin = slots - (slots - function) / 2; // is_text() refuses the function
        else
            fake::text.write(function, 0xb9); // somebody has patched it who knows no probes
        const unsigned writes = fake::text_writes;
        CHECK(remove(what));
        CHECK(fake::text_writes == writes);
        fake::text.begin = begin;
        CHECK(internal::all.sites.find(function) == nullptr);
        CHECK(remove(what).error() == probe_error::wrong_state);
        CHECK(release(what));
        place(ordinary);
    }
}

TEST_CASE("what remove() is refused it can be refused again") {
    place(ordinary);
    probe what = at(0);
    REQUIRE(insert(what));
    fake::no_probe = {{function, function + 1}};
    CHECK(remove(what).error() == probe_error::no_probe);
    CHECK(remove(what).error() == probe_error::no_probe);
    fake::no_probe.clear();
    CHECK(remove(what));
    CHECK(release(what));
}

TEST_CASE("one probe an instruction, in one state at a time") {
    place(ordinary);
    probe what = at(0);
    CHECK(remove(what).error() == probe_error::wrong_state);
    CHECK(release(what).error() == probe_error::wrong_state);
    CHECK(*insert(what) == 5);
    CHECK(insert(what).error() == probe_error::wrong_state);
    CHECK(release(what).error() == probe_error::wrong_state);
    check_refused(at(0, slots + 32), probe_error::occupied);
    CHECK(*remove(what) == 0);
    CHECK(remove(what).error() == probe_error::wrong_state);
    CHECK(insert(what).error() == probe_error::wrong_state);
    CHECK(*release(what) == slot_size);
    CHECK(*insert(what) == 5);
    CHECK(*remove(what) == 0);
    CHECK(*release(what) == slot_size);
    CHECK(fake::text.bytes[0] == 0xb8);
}

TEST_CASE("another probe's INT3 is not taken for an instruction") {
    place(ordinary);
    probe first = at(0);
    const inserted one(first);
    probe second = at(5, slots + 32); // decoded from the first
    const inserted two(second);
    probe inside = at(1, slots + 64);
    check_refused(inside, probe_error::not_boundary);
}

TEST_CASE("a probe within the instruction: one of the two is on no boundary") {
    place(ordinary);
    probe inside = at(1);
    inside.function = inside.address;
    const inserted one(inside);
    check_refused(at(0, slots + 32), probe_error::not_boundary);
}

TEST_CASE("the slot is there before the INT3, for every CPU") {
    place(ordinary);
    probe what = at(0);
    bool seen = false;
    fake::observer = [&] {
        const auto& first_byte = fake::text.fetchable[0];
        if (std::find(first_byte.begin(), first_byte.end(), 0xcc) == first_byte.end())
            return;
        seen = true;
        const bytes code = {0xb8, 5, 0, 0, 0, 0xcc};
        for (size_t i = 0; i < code.size(); ++i)
            CHECK(fake::text.fetchable[slots - function + i] == bytes{code[i]});
        trap_frame frame{};
        frame.ip = function + 1;
        CHECK(handle_breakpoint(frame));
        CHECK(frame.ip == slots);
    };
    fake::text.write(slots, 0xf4); // what has been there before
    fake::text.write(slots + 5, 0xf4);
    {
        const inserted one(what);
        CHECK(seen);
        CHECK(fake::synchronisations == 2);
        CHECK(fake::text.bytes[0] == 0xcc);
        CHECK(fake::text.bytes[1] == 5);
    }
    fake::observer = nullptr;
    CHECK(fake::synchronisations == 4);
    CHECK(what.hits != 0);
    CHECK(fake::text.bytes[0] == 0xb8);
}
