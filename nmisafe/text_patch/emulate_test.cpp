// SPDX-License-Identifier: MIT
// What a simple instruction makes of a trap frame. Conditions and loads are compared with the CPU.
#include "nmisafe/text_patch/internal/emulate.hpp"

#include <cstring>
#include <doctest/doctest.h>
#include <vector>

using namespace nmisafe::text_patch;
using nmisafe::x86::trap_frame;

namespace {

constexpr uintptr_t site = 0x40001000;
constexpr uintptr_t no_stub = 0;

/// A frame in which every word is different.
trap_frame some_frame() {
    trap_frame frame;
    uintptr_t words[sizeof frame / sizeof(uintptr_t)];
    for (size_t i = 0; i < sizeof words / sizeof words[0]; ++i)
        words[i] = (uintptr_t(0x8877665544332211) + i * 0x01010101) | 0x80808080;
    std::memcpy(&frame, words, sizeof frame);
    frame.flags = X86_FLAGS_FIXED | X86_FLAGS_IF;
    frame.ip = site + 1;
    return frame;
}

trap_frame after(const std::vector<uint8_t>& code, trap_frame frame, uintptr_t stub = no_stub) {
    const simple_instruction instruction = recognise(code.data(), code.size());
    REQUIRE(instruction.what != form::unknown);
    internal::prepared made{};
    internal::prepare(made, 1, instruction, site, stub);
    REQUIRE(internal::emulate(frame, made, 1, site + code.size()));
    return frame;
}

bool same(const trap_frame& a, const trap_frame& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

/// What the CPU says of a condition: SETcc after POPF.
template <int Condition>
bool cpu_holds(uintptr_t flags) {
    uint8_t result;
    // SETcc reg8 is 0F 90+cc C0 for AL.
    asm volatile("push %[flags]\n\tpopf\n\t.byte 0x0f, 0x90 + %c[condition], 0xc0"
                 : "=a"(result)
                 : [flags] "r"(flags), [condition] "i"(Condition)
                 : "cc", "memory");
    return result != 0;
}

template <int... Condition>
uint32_t all_conditions(uintptr_t flags, std::integer_sequence<int, Condition...>) {
    return ((uint32_t{cpu_holds<Condition>(flags)} << Condition) | ...);
}

} // namespace

TEST_CASE("each condition under each combination of flags, as the CPU has it") {
    constexpr uintptr_t arithmetic[] = {X86_FLAGS_CF, X86_FLAGS_PF, X86_FLAGS_ZF, X86_FLAGS_SF,
                                        X86_FLAGS_OF};
    for (unsigned bits = 0; bits < 32; ++bits) {
        uintptr_t flags = X86_FLAGS_FIXED;
        for (unsigned i = 0; i < 5; ++i)
            if ((bits >> i & 1) != 0)
                flags |= arithmetic[i];
        CAPTURE(bits);
        const uint32_t holds = all_conditions(flags, std::make_integer_sequence<int, 16>{});
        for (uint8_t condition = 0; condition < 16; ++condition)
            CHECK(nmisafe::x86::condition_holds(condition, flags) ==
                  ((holds >> condition & 1) != 0));
    }
}

TEST_CASE("a nop goes on behind itself and changes nothing else") {
    trap_frame expected = some_frame();
    expected.ip = site + 5;
    CHECK(same(after({0x0f, 0x1f, 0x44, 0, 0}, some_frame()), expected));
}

TEST_CASE("jumps go where they point to, both ways") {
    CHECK(after({0xeb, 0x10}, some_frame()).ip == site + 2 + 0x10);
    CHECK(after({0xeb, 0x80}, some_frame()).ip == site + 2 - 0x80);
    CHECK(after({0xe9, 0, 1, 0, 0}, some_frame()).ip == site + 5 + 0x100);
    CHECK(after({0xe9, 0, 0xff, 0xff, 0xff}, some_frame()).ip == site + 5 - 0x100);
    trap_frame frame = some_frame();
    CHECK(after({0x74, 0x10}, frame).ip == site + 2); // ZF=0
    CHECK(after({0x0f, 0x85, 0x10, 0, 0, 0}, frame).ip == site + 6 + 0x10);
    frame.flags |= X86_FLAGS_ZF;
    CHECK(after({0x74, 0x10}, frame).ip == site + 2 + 0x10);
    CHECK(after({0x0f, 0x85, 0x10, 0, 0, 0}, frame).ip == site + 6);
}

TEST_CASE("a call goes to its stub") {
    trap_frame expected = some_frame();
    expected.ip = 0x40002000;
    CHECK(same(after({0xe8, 0x10, 0, 0, 0}, some_frame(), 0x40002000), expected));
}

TEST_CASE("loads write the one register they name, in their width") {
    trap_frame frame = some_frame();
    frame.ip = site + 5;
    frame.cx = 0x80000001; // zero-extended
    CHECK(same(after({0xb9, 1, 0, 0, 0x80}, some_frame()), frame));

    frame = some_frame();
    frame.ip = site + 4;
    frame.dx = (frame.dx & ~uintptr_t{0xffff}) | 0x8001;
    CHECK(same(after({0x66, 0xba, 1, 0x80}, some_frame()), frame));

    frame = some_frame();
    frame.ip = site + 2;
    frame.bx = (frame.bx & ~uintptr_t{0xff}) | 0x81;
    CHECK(same(after({0xb3, 0x81}, some_frame()), frame));

    frame = some_frame();
    frame.ip = site + 2;
    frame.bx = (frame.bx & ~uintptr_t{0xff00}) | 0x8100; // BH
    CHECK(same(after({0xb7, 0x81}, some_frame()), frame));

    const uint8_t numbers[] = {0, 1, 2, 3, 5, 6, 7};
    uintptr_t trap_frame::*const words[] = {&trap_frame::ax, &trap_frame::cx, &trap_frame::dx,
                                            &trap_frame::bx, &trap_frame::bp, &trap_frame::si,
                                            &trap_frame::di};
    for (unsigned i = 0; i < 7; ++i) {
        frame = some_frame();
        frame.ip = site + 5;
        frame.*words[i] = 0x12345678;
        const auto opcode = static_cast<uint8_t>(0xb8 + numbers[i]);
        CHECK(same(after({opcode, 0x78, 0x56, 0x34, 0x12}, some_frame()), frame));
    }
}

#ifdef __x86_64__
TEST_CASE("loads of the registers that 64-bit mode adds, and of all 8 bytes") {
    uintptr_t trap_frame::*const words[] = {&trap_frame::r8,  &trap_frame::r9,  &trap_frame::r10,
                                            &trap_frame::r11, &trap_frame::r12, &trap_frame::r13,
                                            &trap_frame::r14, &trap_frame::r15};
    for (unsigned i = 0; i < 8; ++i) {
        trap_frame frame = some_frame();
        frame.ip = site + 10;
        frame.*words[i] = 0x8877665544332211;
        const auto opcode = static_cast<uint8_t>(0xb8 + i);
        CHECK(same(
            after({0x49, opcode, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88}, some_frame()),
            frame));
    }
    trap_frame frame = some_frame();
    frame.ip = site + 7;
    frame.ax = 0xffffffff80000000; // C7 sign-extends
    CHECK(same(after({0x48, 0xc7, 0xc0, 0, 0, 0, 0x80}, some_frame()), frame));
}
#endif
