// SPDX-License-Identifier: MIT
// The branches that are emulated, against this CPU's own.
#include "nmisafe/kprobe/internal/branch.hpp"

#include <doctest/doctest.h>

using namespace nmisafe::kprobe::internal;
using nmisafe::x86::trap_frame;

namespace {

constexpr uintptr_t address = 0x1000;
constexpr uintptr_t target = 0x2000;

#ifdef __x86_64__
#define PUSH_POPF "push %[flags]\n\tpopfq\n\t"
#else
#define PUSH_POPF "push %[flags]\n\tpopfl\n\t"
#endif

/// SETcc under these flags.
template <int Condition>
bool cpu_holds(uintptr_t flags) {
    uint8_t result = 0;
    asm volatile(PUSH_POPF ".byte 0x0f, 0x90 + %c[condition], 0xc0" // setcc %al
                 : "=&a"(result)
                 : [flags] "r"(flags), [condition] "i"(Condition)
                 : "cc", "memory");
    return result != 0;
}

template <int Condition>
void check_condition() {
    constexpr uintptr_t bits[] = {X86_FLAGS_CF, X86_FLAGS_PF, X86_FLAGS_ZF, X86_FLAGS_SF,
                                  X86_FLAGS_OF};
    for (unsigned chosen = 0; chosen < 32; ++chosen) {
        uintptr_t flags = X86_FLAGS_FIXED | X86_FLAGS_IF;
        for (unsigned bit = 0; bit < 5; ++bit)
            if ((chosen >> bit & 1) != 0)
                flags |= bits[bit];
        CAPTURE(Condition);
        CAPTURE(flags);
        CHECK(nmisafe::x86::condition_holds(0x70 + Condition, flags) ==
              cpu_holds<Condition>(flags));
        CHECK(nmisafe::x86::condition_holds(0x80 + Condition, flags) ==
              cpu_holds<Condition>(flags));
    }
    if constexpr (Condition < 15)
        check_condition<Condition + 1>();
}

trap_frame emulated(way how, uint8_t opcode, bool is_short, uintptr_t cx, uintptr_t flags) {
    trap_frame frame{};
    frame.cx = cx;
    frame.flags = flags;
    step what{};
    what.how = how;
    what.length = 2;
    what.opcode = opcode;
    what.short_counter = is_short;
    what.target = target;
    CHECK(emulate(reinterpret_cast<nmisafe::platform::frame_words>(&frame), what, address));
    CHECK(frame.flags == flags);
    return frame;
}

bool jumps(const trap_frame& frame) {
    CHECK((frame.ip == target || frame.ip == address + 2));
    return frame.ip == target;
}

} // namespace

TEST_CASE("each condition holds when it does for the CPU") {
    check_condition<0>();
}

TEST_CASE("loops count down and leave the flags alone") {
    for (const uintptr_t zero : {uintptr_t{0}, uintptr_t{X86_FLAGS_ZF}}) {
        const auto loop = [zero](uint8_t opcode, uintptr_t cx) {
            const trap_frame frame = emulated(way::loop, opcode, false, cx, zero);
            CHECK(frame.cx == cx - 1);
            return jumps(frame);
        };
        CHECK(loop(0xe2, 2));
        CHECK_FALSE(loop(0xe2, 1));
        CHECK(loop(0xe2, 0)); // counts round
        CHECK(loop(0xe1, 2) == (zero != 0));
        CHECK_FALSE(loop(0xe1, 1));
        CHECK(loop(0xe0, 2) == (zero == 0));
        CHECK_FALSE(loop(0xe0, 1));
    }
}

TEST_CASE("a short counter is half a register") {
    constexpr uintptr_t high = uintptr_t{1} << (sizeof(uintptr_t) * 8 - 1);
    constexpr uintptr_t half = ~uintptr_t{0} >> sizeof(uintptr_t) * 4;
    // Of 4 bytes it takes the rest of the register with it, of 2 it does not.
    constexpr uintptr_t kept = sizeof(uintptr_t) == 8 ? 0 : high;

    const trap_frame last = emulated(way::loop, 0xe2, true, high | 1, 0);
    CHECK_FALSE(jumps(last));
    CHECK(last.cx == kept);
    const trap_frame round = emulated(way::loop, 0xe2, true, high, 0);
    CHECK(jumps(round));
    CHECK(round.cx == (kept | half));

    CHECK(jumps(emulated(way::jump_cx_zero, 0xe3, true, high, 0)));
    CHECK_FALSE(jumps(emulated(way::jump_cx_zero, 0xe3, false, high, 0)));
    CHECK(jumps(emulated(way::jump_cx_zero, 0xe3, false, 0, 0)));
    CHECK(emulated(way::jump_cx_zero, 0xe3, true, high, 0).cx == high);
}

TEST_CASE("jumps and nops") {
    CHECK(jumps(emulated(way::jump, 0xe9, false, 0, 0)));
    CHECK_FALSE(jumps(emulated(way::skip, 0x90, false, 0, 0)));
    CHECK(jumps(emulated(way::conditional_jump, 0x74, false, 0, X86_FLAGS_ZF)));
    CHECK_FALSE(jumps(emulated(way::conditional_jump, 0x74, false, 0, 0)));
}

TEST_CASE("what needs a slot is left alone") {
    trap_frame frame{};
    frame.ip = 7;
    for (const way how :
         {way::copy, way::call, way::call_indirect, way::jump_indirect, way::return_near}) {
        step what{};
        what.how = how;
        CHECK_FALSE(
            emulate(reinterpret_cast<nmisafe::platform::frame_words>(&frame), what, address));
        CHECK(frame.ip == 7);
    }
}
