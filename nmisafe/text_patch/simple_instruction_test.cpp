// SPDX-License-Identifier: MIT
// Which bytes are simple instructions, checked against encodings written by hand from the manual
// and against those that assemblers fill gaps with.
#include "nmisafe/text_patch/internal/simple_instruction.hpp"

#include <doctest/doctest.h>
#include <vector>

using namespace nmisafe::text_patch;

namespace {

using bytes = std::vector<uint8_t>;

simple_instruction recognised(const bytes& code) {
    return recognise(code.data(), code.size());
}

void check_load(const bytes& code, uint8_t number, uint8_t width, uintptr_t value,
                bool high_byte = false) {
    const simple_instruction found = recognised(code);
    CHECK(found.what == form::load);
    CHECK(found.length == code.size());
    CHECK(found.detail == number);
    CHECK(found.width == width);
    CHECK(found.value == value);
    CHECK(found.high_byte == high_byte);
}

const bytes nops[] = {
    {0x90},
    {0x66, 0x90},
    {0x0f, 0x1f, 0x00},
    {0x0f, 0x1f, 0x40, 0x00},
    {0x0f, 0x1f, 0x44, 0x00, 0x00},
    {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
    {0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00},
    {0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
    {0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
    {0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
    {0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
    {0x0f, 0x1f, 0x05, 0x00, 0x00, 0x00, 0x00},       // no base, 4 bytes of displacement
    {0x0f, 0x1f, 0x04, 0x25, 0x00, 0x00, 0x00, 0x00}, // the same with SIB
    {0x0f, 0x1f, 0xc0},                               // a register
};

} // namespace

TEST_CASE("nops of every length, and none that is cut short or too long") {
    for (const bytes& code : nops) {
        CAPTURE(code.size());
        CHECK(recognised(code).what == form::nop);
        CHECK(recognised(code).length == code.size());
        bytes longer = code;
        longer.push_back(0x90);
        CHECK(recognised(longer).what == form::unknown);
        for (size_t size = 0; size < code.size(); ++size)
            CHECK(recognise(code.data(), size).what == form::unknown);
    }
}

TEST_CASE("jumps and calls") {
    CHECK(recognised({0xeb, 0xfe}).what == form::jump);
    CHECK(recognised({0xeb, 0xfe}).value == ~uintptr_t{1});
    CHECK(recognised({0xe9, 0x78, 0x56, 0x34, 0x12}).what == form::jump);
    CHECK(recognised({0xe9, 0x78, 0x56, 0x34, 0x12}).value == 0x12345678);
    CHECK(recognised({0xe8, 0xfb, 0xff, 0xff, 0xff}).what == form::call);
    CHECK(recognised({0xe8, 0xfb, 0xff, 0xff, 0xff}).value == ~uintptr_t{4});
    for (uint8_t condition = 0; condition < 16; ++condition) {
        const auto near = recognised({static_cast<uint8_t>(0x70 + condition), 0x10});
        const auto far = recognised({0x0f, static_cast<uint8_t>(0x80 + condition), 1, 0, 0, 0x80});
        CHECK(near.what == form::conditional_jump);
        CHECK(near.detail == condition);
        CHECK(near.value == 0x10);
        CHECK(far.what == form::conditional_jump);
        CHECK(far.detail == condition);
        CHECK(static_cast<int32_t>(far.value) == INT32_MIN + 1);
    }
}

TEST_CASE("immediates to registers") {
    check_load({0xb0, 0x7f}, 0, 1, 0x7f);
    check_load({0xb3, 0x80}, 3, 1, ~uintptr_t{0x7f});
    check_load({0xb4, 0x01}, 0, 1, 1, true); // AH
    check_load({0xb7, 0x01}, 3, 1, 1, true); // BH
    check_load({0x66, 0xb9, 0x34, 0x12}, 1, 2, 0x1234);
    check_load({0xb8, 0x78, 0x56, 0x34, 0x12}, 0, 4, 0x12345678);
    check_load({0xbf, 0xff, 0xff, 0xff, 0xff}, 7, 4, ~uintptr_t{0});
    check_load({0xc7, 0xc2, 0x01, 0, 0, 0}, 2, 4, 1);
    check_load({0x66, 0xc7, 0xc5, 0x01, 0}, 5, 2, 1);
    if constexpr (nmisafe::x86::is_64_bit) {
        check_load({0x41, 0xb8, 0x01, 0, 0, 0}, 8, 4, 1);
        check_load({0x41, 0xb7, 0x01}, 15, 1, 1);
        check_load({0x40, 0xb6, 0x01}, 6, 1, 1); // SIL, not DH
        check_load({0x48, 0xb8, 8, 7, 6, 5, 4, 3, 2, 1}, 0, 8, uintptr_t(0x0102030405060708));
        check_load({0x49, 0xbf, 8, 7, 6, 5, 4, 3, 2, 1}, 15, 8, uintptr_t(0x0102030405060708));
        check_load({0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff}, 0, 8, ~uintptr_t{0});
        check_load({0x66, 0x41, 0xbc, 0x34, 0x12}, 12, 2, 0x1234); // R12, not SP
    }
}

TEST_CASE("what could be mistaken for one of them") {
    const bytes others[] = {
        {0xf3, 0x90},                         // PAUSE
        {0x48, 0x90},                         // with REX: XCHG in the general case
        {0x41, 0x90},                         // XCHG R8
        {0x87, 0xc0},                         // XCHG
        {0x0f, 0x1f, 0x48, 0x00},             // 0F 1F /1: reserved
        {0x0f, 0x1e, 0xfa},                   // half of ENDBR
        {0xf3, 0x0f, 0x1e, 0xfa},             // ENDBR64: must stay where it is
        {0xf3, 0x0f, 0x1e, 0xfb},             // ENDBR32
        {0x0f, 0x0b},                         // UD2
        {0xcc},                               // INT3
        {0x66, 0xe9, 0, 0},                   // 16-bit jump
        {0x66, 0xe9, 0, 0, 0, 0},             // on 64-bit CPUs of one maker
        {0x2e, 0x74, 0x00},                   // branch hint
        {0xc7, 0x00, 1, 0, 0, 0},             // to memory
        {0xc7, 0xc8, 1, 0, 0, 0},             // C7 /1
        {0xc7, 0xf8, 0, 0, 0, 0},             // XBEGIN
        {0xbc, 1, 0, 0, 0},                   // the stack pointer
        {0x66, 0xbc, 1, 0},                   // part of it
        {0xc7, 0xc4, 1, 0, 0, 0},             // the stack pointer
        {0x2e, 0xb8, 1, 0, 0, 0},             // a segment prefix
        {0x66, 0x48, 0xb8, 1, 0, 0, 0, 0, 0}, // REX.W and 66
        {0x66, 0xb0, 1},                      // 66 on a byte
        {0xe8},
        {0x66},
        {},
    };
    for (const bytes& code : others) {
        CAPTURE(code.size());
        if (!code.empty())
            CAPTURE(int{code[0]});
        CHECK(recognised(code).what == form::unknown);
    }
    if constexpr (nmisafe::x86::is_64_bit)
        CHECK(recognised({0x40, 0xb4, 0x01}).what == form::unknown); // SPL
    else
        CHECK(recognised({0x41}).what == form::unknown); // INC, no prefix
}
