// SPDX-License-Identifier: MIT
// Code that is closed to probes: what stands in the way of closing it, and what it refuses then.
#include "nmisafe/kprobe/closed_range.hpp"
#include "nmisafe/kprobe/insert_test.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

using namespace nmisafe::kprobe;
using namespace nmisafe::kprobe::test;

namespace {

/// Closes a range, and opens it again if that went well. @return the error, or none.
probe_error try_to_close(uintptr_t begin, uintptr_t end) {
    closed_range range{{begin, end}, {}, {}, nullptr};
    const auto closed = close(range);
    if (!closed)
        return closed.error();
    CHECK(*closed == end - begin);
    CHECK(*open(range) == end - begin);
    return probe_error{};
}

void check_free(uintptr_t begin, uintptr_t end) {
    CHECK(try_to_close(begin, end) == probe_error{});
}
void check_occupied(uintptr_t begin, uintptr_t end) {
    CHECK(try_to_close(begin, end) == probe_error::occupied);
}

/// Closes a range for one test.
class closed {
  public:
    closed(uintptr_t begin, uintptr_t end) : range_{{begin, end}, {}, {}, nullptr} {
        REQUIRE(close(range_).has_value());
    }
    ~closed() { CHECK(open(range_).has_value()); }
    closed(const closed&) = delete;
    closed& operator=(const closed&) = delete;

    closed_range& range() { return range_; }

  private:
    closed_range range_;
};

} // namespace

TEST_CASE("closed code takes no probe") {
    place(ordinary);
    {
        const closed code(function, function + 6);
        check_refused(at(0), probe_error::not_text);
        check_refused(at(5), probe_error::not_text);
        check_refused(at(6), probe_error::not_text); // decoded through what is closed
        probe behind = at(6);
        behind.function = behind.address;
        const inserted one(behind);
    }
    probe what = at(0);
    const inserted again(what);
}

TEST_CASE("an instruction that reaches into closed code is not read") {
    place(ordinary);
    const closed code(function + 4, function + 5);
    check_refused(at(0), probe_error::unknown_instruction);
}

TEST_CASE("closed code takes no slot") {
    place(ordinary);
    const closed code(slots + 31, slots + 32);
    check_refused(at(0), probe_error::bad_slot);
    probe what = at(0, slots + 32);
    const inserted one(what);
}

TEST_CASE("closed code is patched by others") {
    place(ordinary);
    const closed code(function, text_end);
    nmisafe::text_patch::patch change{};
    change.address = function;
    change.size = 5;
    const bytes before = {0xb8, 5, 0, 0, 0};
    const bytes after = {0xb8, 6, 0, 0, 0};
    std::copy(before.begin(), before.end(), change.before);
    std::copy(after.begin(), after.end(), change.after);
    CHECK(nmisafe::text_patch::apply(&change, 1).has_value());
}

TEST_CASE("ranges that are closed, in any number and order") {
    place(ordinary);
    closed_range ranges[3] = {{{function, function + 5}, {}, {}, nullptr},
                              {{function + 5, function + 6}, {}, {}, nullptr},
                              {{function, function + 6}, {}, {}, nullptr}};
    for (closed_range& one : ranges) {
        CHECK(close(one).has_value());
        CHECK(close(one).error() == probe_error::wrong_state);
    }
    for (const unsigned next : {1U, 2U, 0U}) {
        check_refused(at(0), probe_error::not_text);
        CHECK(open(ranges[next]).has_value());
        CHECK(open(ranges[next]).error() == probe_error::wrong_state);
    }
    probe what = at(0);
    const inserted one(what);
}

TEST_CASE("what stands in the way: instructions, slots, and what is not released") {
    place(ordinary);
    check_free(0, ~uintptr_t{0});
    probe move = at(0); // 5 bytes
    probe jump = at(7, 0);
    REQUIRE(insert(move).has_value());
    REQUIRE(insert(jump).has_value());
    check_occupied(function, text_end);
    closed_range refused{{function, function + 1}, {}, {}, nullptr};
    CHECK(close(refused).error() == probe_error::occupied);
    CHECK(open(refused).error() == probe_error::wrong_state);
    check_occupied(function + 4, function + 5);
    check_free(function + 5, function + 7);
    check_occupied(function + 8, function + 9);
    check_free(function + 9, slots);
    check_occupied(slots + 31, text_end);
    check_free(slots + 32, text_end);
    check_free(function + 1, function + 1);
    REQUIRE(remove(move).has_value());
    REQUIRE(remove(jump).has_value());
    check_occupied(function, function + 1);     // who is in the slot
    check_occupied(function + 5, function + 6); // goes on there
    check_free(function + 6, slots);
    check_occupied(slots, slots + 1);
    REQUIRE(release(move).has_value());
    REQUIRE(release(jump).has_value());
    check_free(0, ~uintptr_t{0});
}

namespace {

unsigned handled;
void on_hit(probe&, nmisafe::x86::trap_frame&) {
    ++handled;
}

uintptr_t address_of(const void* what) {
    return reinterpret_cast<uintptr_t>(what);
}

/// An image whose code is that of on_hit(), and whose data is one probe; and its constants.
probe own;
const char constants[2] = {};
closed_range image() {
    const auto handler = reinterpret_cast<uintptr_t>(&on_hit);
    return {{handler, handler + 1},
            {address_of(&own), address_of(&own + 1)},
            {address_of(constants), address_of(constants + 1)},
            nullptr};
}

bool hit(uintptr_t address) {
    nmisafe::x86::trap_frame frame{};
    frame.ip = address + 1;
    return handle_breakpoint(frame);
}

} // namespace

TEST_CASE("what of somebody's leads into the code stands in the way, its own does not") {
    place(ordinary);
    closed_range leaving = image();
    const auto is_occupied = [&] {
        const auto closed = close(leaving);
        CHECK((closed.has_value() || closed.error() == probe_error::occupied));
        if (closed)
            CHECK(open(leaving));
        return !closed.has_value();
    };
    for (const handler pre : {handler{}, handler{on_hit}})
        for (const handler post : {handler{}, handler{on_hit}})
            for (const void* argument :
                 std::initializer_list<const void*>{nullptr, &own, constants, constants + 1}) {
                probe other = at(7, 0);
                other.pre = pre;
                other.post = post;
                other.argument = const_cast<void*>(argument);
                const inserted one(other);
                CHECK(is_occupied() == (pre != nullptr || post != nullptr || argument == &own ||
                                        argument == constants));
            }
    CHECK_FALSE(is_occupied());
    own = at(0);
    own.pre = on_hit;
    const inserted one(own);
    CHECK_FALSE(is_occupied());
}

TEST_CASE("what leads into code that goes is taken off; who may be in a slot keeps it") {
    place(ordinary);
    const closed_range leaving = image();
    CHECK(*evict(leaving) == 0);
    probe stays = at(5, slots + 32);
    const inserted other(stays);

    // A probe of the image's own that needs no slot: nobody can be in it.
    own = at(7, 0);
    own.pre = on_hit;
    REQUIRE(insert(own));
    handled = 0;
    CHECK(hit(function + 7));
    CHECK(handled == 1);
    CHECK(*evict(leaving) == 0);
    CHECK(fake::text.bytes[7] == 0xeb);
    CHECK(hit(function + 7)); // late: nobody's, and gone
    CHECK(handled == 1);
    CHECK(fake::text.bytes[5] == 0xcc); // somebody else's

    // One with a slot: from there a thread comes back to the probe.
    own = at(0);
    own.pre = on_hit;
    own.post = on_hit;
    REQUIRE(insert(own));
    for (int i = 0; i < 2; ++i) {
        CHECK(*evict(leaving) == 1);
        CHECK(fake::text.bytes[0] == 0xb8);
        CHECK(hit(slots + 5));
        CHECK(handled == 1); // no handler is called
    }
    CHECK(remove(own).error() == probe_error::wrong_state);
    REQUIRE(release(own));
    CHECK(*evict(leaving) == 0);

    // Somebody's whose handler is of the image: the image does not need to stay for it.
    probe theirs = at(0);
    theirs.post = on_hit;
    REQUIRE(insert(theirs));
    CHECK(*evict(leaving) == 0);
    CHECK(fake::text.bytes[0] == 0xb8);
    REQUIRE(release(theirs));

    // Somebody's that is given what the image has.
    for (const void* argument : std::initializer_list<const void*>{&own, constants}) {
        theirs.post = nullptr;
        theirs.argument = const_cast<void*>(argument);
        REQUIRE(insert(theirs));
        CHECK(*evict(leaving) == 0);
        CHECK(fake::text.bytes[0] == 0xb8);
        REQUIRE(release(theirs));
    }

    // On the code, or with a slot in it.
    closed_range code{{function, function + 1}, {}, {}, nullptr};
    REQUIRE(insert(theirs));
    CHECK(*evict(code) == 1);
    REQUIRE(release(theirs));
    code.code = {slots, slots + 1};
    REQUIRE(insert(theirs));
    CHECK(*evict(code) == 1);
    REQUIRE(release(theirs));
    CHECK(*evict(code) == 0);
    // What a probe has been given and does not use is nobody's slot.
    probe jump = at(7);
    const inserted unused(jump);
    CHECK(*evict(code) == 0);
    CHECK(fake::text.bytes[7] == 0xcc);
}

TEST_CASE("a probe is gone when no handler can be on its links any more, also by eviction") {
    place(ordinary);
    const closed_range leaving = image();
    own = at(7, 0);
    REQUIRE(insert(own));
    bool is_out = false; // when the CPUs last did something that shows them what has changed
    fake::observer = [&] { is_out = internal::all.sites.find(function + 7) == nullptr; };
    CHECK(*evict(leaving) == 0);
    fake::observer = nullptr;
    CHECK(is_out);
}

TEST_CASE("who may not wait evicts nobody") {
    place(ordinary);
    const closed_range leaving = image();
    own = at(7, 0);
    const inserted one(own);
    fake::cpu.nmi_in_progress = 1;
    CHECK(evict(leaving).error() == probe_error::in_nmi);
    fake::cpu.nmi_in_progress = 0;
    fake::can_synchronise = false;
    CHECK(evict(leaving).error() == probe_error::cannot_synchronise);
    fake::can_synchronise = true;
    // Where the platform refuses by now what it once allowed, the probe stays, and the error says
    // so.
    fake::no_probe = {{function + 7, function + 8}};
    CHECK(evict(leaving).error() == probe_error::no_probe);
    CHECK(fake::text.bytes[7] == 0xcc);
    fake::no_probe.clear();
}

TEST_CASE("closing and probing exclude each other") {
    place(ordinary);
    closed code(slots + 32, text_end);
    bool asked = false;
    // As if on another CPU, in the middle of insert(), when the probe cannot be seen by all yet.
    fake::observer = [&] {
        asked = true;
        CHECK(try_to_close(function, text_end) == probe_error::busy);
        CHECK(open(code.range()).error() == probe_error::busy);
    };
    probe what = at(0);
    {
        const inserted one(what);
        fake::observer = nullptr;
        CHECK(asked);
        check_occupied(function, function + 1);
    }
    fake::cpu.nmi_in_progress = 1;
    closed_range range{{function, text_end}, {}, {}, nullptr};
    CHECK(close(range).error() == probe_error::in_nmi);
    CHECK(open(code.range()).error() == probe_error::in_nmi);
    fake::cpu.nmi_in_progress = 0;
    fake::can_synchronise = false;
    CHECK(close(range).error() == probe_error::cannot_synchronise);
    fake::can_synchronise = true;
}
