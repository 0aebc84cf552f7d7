// SPDX-License-Identifier: MIT
// Instructions assembled by hand. tests/decoder compares the decoder with another one on all the
// rest; here is what users of the decoder rely on, and what it must refuse.
#include "nmisafe/x86/instruction.hpp"

#include <doctest/doctest.h>
#include <initializer_list>
#include <vector>

using namespace nmisafe::x86;
using kind = instruction_class;

namespace {

constexpr width widths[] = {width::bits_32, width::bits_64};

instruction accept(std::initializer_list<int> values, width mode) {
    const std::vector<uint8_t> bytes(values.begin(), values.end());
    const auto result = decode(bytes.data(), bytes.size(), mode);
    REQUIRE(result.has_value());
    CHECK(result->length == bytes.size());
    return *result;
}

decode_error refuse(std::initializer_list<int> values, width mode) {
    const std::vector<uint8_t> bytes(values.begin(), values.end());
    const auto result = decode(bytes.data(), bytes.size(), mode);
    REQUIRE(!result.has_value());
    return result.error();
}

} // namespace

TEST_CASE("relative branches") {
    for (const width mode : widths) {
        const instruction call = accept({0xe8, 0xfc, 0xff, 0xff, 0xff}, mode);
        CHECK(call.kind == kind::call_relative);
        CHECK(call.immediate == -4);
        CHECK(call.immediate_offset == 1);
        CHECK(call.immediate_size == 4);
        CHECK(accept({0xe9, 0x78, 0x56, 0x34, 0x12}, mode).immediate == 0x12345678);
        const instruction jump = accept({0xeb, 0xfe}, mode);
        CHECK(jump.kind == kind::jump_relative);
        CHECK(jump.immediate == -2);
        const instruction near = accept({0x0f, 0x85, 0x00, 0x01, 0x00, 0x00}, mode);
        CHECK(near.kind == kind::jump_conditional);
        CHECK(near.opcode == 0x85);
        CHECK(near.immediate == 0x100);
        CHECK(accept({0x74, 0x7f}, mode).kind == kind::jump_conditional);
        CHECK(accept({0xe2, 0xf0}, mode).kind == kind::loop);
        CHECK(accept({0xe3, 0xf0}, mode).kind == kind::jump_cx_zero);
        for (const kind branch : {kind::call_relative, kind::jump_relative, kind::jump_conditional,
                                  kind::loop, kind::jump_cx_zero})
            CHECK(is_relative_branch(branch));
        CHECK_FALSE(is_relative_branch(kind::jump_indirect));
    }
}

TEST_CASE(
    "an operand size prefix on a near branch: 16 bits in 32-bit mode, refused in 64-bit mode") {
    const instruction jump = accept({0x66, 0xe9, 0xfe, 0xff}, width::bits_32);
    CHECK(jump.has(prefix::operand_size));
    CHECK(jump.immediate_size == 2);
    CHECK(jump.immediate == -2);
    for (const auto branch : {std::initializer_list<int>{0x66, 0xe8, 0, 0, 0, 0},
                              {0x66, 0x0f, 0x84, 0, 0, 0, 0},
                              {0x66, 0x75, 0},
                              {0x66, 0xc3},
                              {0x66, 0xff, 0xd0},
                              {0x66, 0xc7, 0xf8, 0, 0, 0, 0}})
        CHECK(refuse(branch, width::bits_64) == decode_error::bad_prefix);
}

TEST_CASE("but REX.W overrides it: compilers pad the calls of thread-local storage so") {
    const instruction call =
        accept({0x66, 0x66, 0x48, 0xe8, 0xfc, 0xff, 0xff, 0xff}, width::bits_64);
    CHECK(call.kind == kind::call_relative);
    CHECK(call.immediate == -4);
    CHECK(call.immediate_size == 4);
    CHECK(accept({0x66, 0x48, 0xff, 0xd0}, width::bits_64).kind == kind::call_indirect);
    CHECK(accept({0x66, 0x48, 0xc3}, width::bits_64).kind == kind::return_near);
    // A REX that another prefix follows does not.
    CHECK(refuse({0x48, 0x66, 0xe8, 0, 0, 0, 0}, width::bits_64) == decode_error::bad_prefix);
}

TEST_CASE("AVX-512, XOP, FMA4, 3DNow! and other extensions: how long they are") {
    for (const width mode : widths) {
        CHECK(accept({0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0}, mode).form == encoding::evex); // vaddps
        CHECK(accept({0x62, 0xf1, 0x7c, 0x48, 0x58, 0x40, 0x01}, mode).displacement == 1);
        CHECK(accept({0x62, 0xf3, 0x7d, 0x48, 0x25, 0xc0, 0xff}, mode).immediate ==
              -1); // vpternlogd
        CHECK(accept({0x62, 0xf1, 0x7c, 0x48, 0xc2, 0xc8, 0x01}, mode).immediate_size ==
              1); // vcmpps
        CHECK(accept({0x62, 0xf5, 0x7c, 0x48, 0x58, 0xc0}, mode).map ==
              opcode_map::map_5);                                                      // vaddph
        CHECK(accept({0xc5, 0xf4, 0x41, 0xc2}, mode).form == encoding::vex);           // kandw
        CHECK(accept({0xc4, 0xe2, 0x71, 0x92, 0x04, 0x08}, mode).sib_offset == 5);     // vgatherdps
        CHECK(accept({0xc4, 0xe3, 0x79, 0x68, 0xc1, 0x20}, mode).immediate_size == 1); // vfmaddps
        CHECK(accept({0x8f, 0xe8, 0x78, 0xc0, 0xc0, 0x01}, mode).form == encoding::xop); // vprotb
        CHECK(accept({0x8f, 0xea, 0x78, 0x10, 0xc0, 1, 0, 0, 0}, mode).immediate_size ==
              4);                                                                    // bextr
        CHECK(accept({0x0f, 0x0f, 0xc0, 0x9e}, mode).kind == kind::ordinary);        // pfadd
        CHECK(accept({0xf3, 0x0f, 0x01, 0xd9}, mode).kind == kind::virtual_machine); // vmgexit
        CHECK(accept({0x66, 0x0f, 0x78, 0xc0, 1, 2}, mode).immediate_size == 2);     // extrq
        CHECK(accept({0x8f, 0xc0}, mode).form == encoding::legacy);                  // pop
    }
    CHECK(accept({0x62, 0x00}, width::bits_32).form == encoding::legacy); // bound
    CHECK(accept({0xc4, 0xe2, 0x7b, 0x4b, 0x0c, 0x10}, width::bits_64).kind ==
          kind::ordinary); // tileloadd
    // vaddps 8(%rip), %zmm0, %zmm0
    CHECK(accept({0x62, 0xf1, 0x7c, 0x48, 0x58, 0x05, 8, 0, 0, 0}, width::bits_64).ip_relative);
}

TEST_CASE("APX: REX2, its EVEX, jmpabs") {
    // add %r16, %r17 with a REX2; add $imm, %r16 in each operand size with EVEX
    CHECK(accept({0xd5, 0x58, 0x01, 0xc1}, width::bits_64).form == encoding::rex2);
    CHECK(accept({0xd5, 0x90, 0xaf, 0xc1}, width::bits_64).map == opcode_map::map_0f); // imul
    CHECK(accept({0x62, 0xfc, 0x7c, 0x18, 0x81, 0xc0, 1, 2, 3, 4}, width::bits_64).immediate ==
          0x04030201);
    CHECK(accept({0x62, 0xfc, 0x7d, 0x18, 0x81, 0xc0, 1, 2}, width::bits_64).immediate == 0x0201);
    CHECK(accept({0x62, 0xfc, 0xfd, 0x18, 0x81, 0xc0, 1, 2, 3, 4}, width::bits_64).immediate_size ==
          4);
    CHECK(accept({0xd5, 0x08, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, width::bits_64).immediate_size == 8);
    CHECK(accept({0xd5, 0x10, 0xff, 0xd0}, width::bits_64).kind == kind::call_indirect);
    const instruction jump = accept({0xd5, 0x00, 0xa1, 1, 2, 3, 4, 5, 6, 7, 8}, width::bits_64);
    CHECK(jump.kind == kind::jump_absolute);
    CHECK(jump.immediate == 0x0807060504030201);
    CHECK_FALSE(is_relative_branch(jump.kind));
    CHECK(accept({0xd5, 0x00}, width::bits_32).form == encoding::legacy); // aad
}

TEST_CASE("other transfers of control") {
    for (const width mode : widths) {
        CHECK(accept({0xc3}, mode).kind == kind::return_near);
        CHECK(accept({0xf3, 0xc3}, mode).kind == kind::return_near);
        CHECK(accept({0xc2, 0x08, 0x00}, mode).kind == kind::return_near);
        CHECK(accept({0xcb}, mode).kind == kind::return_far);
        CHECK(accept({0xcf}, mode).kind == kind::interrupt_return);
        CHECK(accept({0xff, 0xd0}, mode).kind == kind::call_indirect);
        CHECK(accept({0xff, 0x24, 0x85, 0, 0, 0, 0}, mode).kind == kind::jump_indirect);
        CHECK(accept({0xff, 0x28}, mode).kind == kind::far_branch);
        CHECK(accept({0xcc}, mode).kind == kind::breakpoint);
        CHECK(accept({0xcd, 0x03}, mode).kind == kind::software_interrupt);
        CHECK(accept({0x0f, 0x0b}, mode).kind == kind::undefined);
        CHECK(accept({0x0f, 0x34}, mode).kind == kind::system_call);
        CHECK(accept({0x0f, 0x01, 0xc1}, mode).kind == kind::virtual_machine);
        CHECK(accept({0xc7, 0xf8, 0, 0, 0, 0}, mode).kind == kind::transaction);
        CHECK(accept({0xf4}, mode).kind == kind::halt);
    }
    CHECK(accept({0xea, 1, 0, 0, 0, 8, 0}, width::bits_32).kind == kind::far_branch);
    CHECK(refuse({0xea, 1, 0, 0, 0, 8, 0}, width::bits_64) == decode_error::unknown);
}

TEST_CASE("interrupt flag and stack segment") {
    for (const width mode : widths) {
        CHECK(accept({0x9c}, mode).kind == kind::push_flags);
        CHECK(accept({0x9d}, mode).kind == kind::pop_flags);
        CHECK(accept({0xfa}, mode).kind == kind::disable_interrupts);
        CHECK(accept({0xfb}, mode).kind == kind::enable_interrupts);
        CHECK(accept({0x8e, 0xd0}, mode).kind == kind::load_stack_segment);
        CHECK(accept({0x8e, 0xd8}, mode).kind == kind::system);
        CHECK(accept({0x0f, 0x22, 0xd8}, mode).kind == kind::system);
    }
    CHECK(accept({0x17}, width::bits_32).kind == kind::load_stack_segment);
}

TEST_CASE("memory relative to the instruction pointer exists in 64-bit mode only") {
    // mov 0x10(%rip), %rax
    const instruction move = accept({0x48, 0x8b, 0x05, 0x10, 0, 0, 0}, width::bits_64);
    CHECK(move.ip_relative);
    CHECK(move.rex == 0x48);
    CHECK(move.displacement == 0x10);
    CHECK(move.displacement_offset == 3);
    CHECK(move.displacement_size == 4);
    // cmpl $1, -8(%rip): the immediate follows the displacement.
    const instruction compare = accept({0x83, 0x3d, 0xf8, 0xff, 0xff, 0xff, 0x01}, width::bits_64);
    CHECK(compare.ip_relative);
    CHECK(compare.displacement == -8);
    CHECK(compare.immediate_offset == 6);
    CHECK_FALSE(accept({0x8b, 0x05, 0x10, 0, 0, 0}, width::bits_32).ip_relative);
    // An absolute address, by a SIB without base.
    CHECK_FALSE(accept({0x8b, 0x04, 0x25, 0x10, 0, 0, 0}, width::bits_64).ip_relative);
}

TEST_CASE("widths change what bytes mean") {
    CHECK(accept({0x40}, width::bits_32).rex == 0); // inc %eax
    CHECK(refuse({0x40}, width::bits_64) == decode_error::truncated);
    CHECK(accept({0xa1, 1, 2, 3, 4}, width::bits_32).displacement_size == 4);
    CHECK(accept({0xa1, 1, 2, 3, 4, 5, 6, 7, 8}, width::bits_64).displacement_size == 8);
    CHECK(accept({0x67, 0x8b, 0x46, 0x10}, width::bits_32).displacement == 0x10); // 16-bit address
    CHECK(accept({0x67, 0x8b, 0x0e, 0x10, 0x20}, width::bits_32).displacement == 0x2010);
    CHECK(accept({0xc5, 0x00}, width::bits_32).form == encoding::legacy);                // lds
    CHECK(accept({0xc4, 0xe2, 0x78, 0xf2, 0xc1}, width::bits_32).form == encoding::vex); // andn
    CHECK(accept({0xc4, 0xe2, 0x78, 0xf2, 0xc1}, width::bits_64).map == opcode_map::map_0f38);
}

TEST_CASE("immediates of every size") {
    const instruction wide =
        accept({0x48, 0xb8, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01}, width::bits_64);
    CHECK(wide.immediate_size == 8);
    CHECK(wide.immediate == 0x0123456789abcdef);
    for (const width mode : widths) {
        CHECK(accept({0xb8, 0xff, 0xff, 0xff, 0xff}, mode).immediate == -1);
        CHECK(accept({0x66, 0xb8, 0x34, 0x12}, mode).immediate == 0x1234);
        CHECK(accept({0xb0, 0x80}, mode).immediate == -128);
        CHECK(accept({0xc8, 0x10, 0x00, 0x01}, mode).immediate_size == 3); // enter
        CHECK(accept({0xf6, 0xc1, 0x01}, mode).immediate_size == 1);       // test
        CHECK(accept({0xf6, 0xd1}, mode).immediate_size == 0);             // not
    }
}

TEST_CASE("nops of every length are one instruction") {
    for (const width mode : widths) {
        CHECK(accept({0x90}, mode).kind == kind::ordinary);
        accept({0x66, 0x90}, mode);
        accept({0x0f, 0x1f, 0x00}, mode);
        accept({0x0f, 0x1f, 0x44, 0x00, 0x00}, mode);
        accept({0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}, mode);
        accept({0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}, mode);
        accept({0xf3, 0x0f, 0x1e, mode == width::bits_64 ? 0xfa : 0xfb}, mode); // endbr
    }
}

TEST_CASE("refused: bad prefixes") {
    for (const width mode : widths) {
        accept({0xf0, 0x01, 0x08}, mode); // lock add %ecx, (%eax)
        CHECK(refuse({0xf0, 0x01, 0xc8}, mode) == decode_error::bad_prefix); // its register form
        CHECK(refuse({0xf0, 0x03, 0x08}, mode) == decode_error::bad_prefix); // the other direction
        CHECK(refuse({0xf0, 0x90}, mode) == decode_error::bad_prefix);
        CHECK(refuse({0x66, 0xc5, 0xf8, 0x77}, mode) == decode_error::bad_prefix); // before VEX
    }
}

TEST_CASE("refused: not known") {
    for (const width mode : widths) {
        CHECK(refuse({0x62, 0xf0, 0x7c, 0x48}, mode) == decode_error::unknown); // no map of EVEX
        CHECK(refuse({0x62, 0xf2, 0x7d, 0x48, 0xff}, mode) == decode_error::unknown);
        CHECK(refuse({0x8f, 0xeb}, mode) == decode_error::unknown);             // no map of XOP
        CHECK(refuse({0x0f, 0x0f, 0xc0, 0x9f}, mode) == decode_error::unknown); // not of 3DNow!
        CHECK(refuse({0xc4, 0xe2, 0x79, 0x90, 0x00}, mode) == decode_error::unknown); // no SIB
        CHECK(refuse({0x0f, 0x04}, mode) == decode_error::unknown);
        CHECK(refuse({0x0f, 0xff, 0xc0}, mode) == decode_error::unknown); // ud0
        CHECK(refuse({0x8e, 0xc8}, mode) == decode_error::unknown);       // mov to cs
        CHECK(refuse({0xff, 0xd8}, mode) == decode_error::unknown);       // far call, register
        CHECK(refuse({0x0f, 0x22, 0xc8}, mode) == decode_error::unknown); // mov to cr1
        CHECK(refuse({0xc5, 0xf0, 0x77}, mode) == decode_error::unknown); // vvvv not 1111
    }
    CHECK(refuse({0x06}, width::bits_64) == decode_error::unknown);
    CHECK(refuse({0xd5, 0x00, 0x74}, width::bits_64) == decode_error::unknown); // je with a REX2
    CHECK(refuse({0xd5, 0x80, 0x84}, width::bits_64) == decode_error::unknown);
    CHECK(refuse({0xd5, 0x80, 0xae, 0x20}, width::bits_64) == decode_error::unknown); // xsave
    CHECK(refuse({0xd5, 0x08, 0xa1}, width::bits_64) == decode_error::unknown);
    CHECK(refuse({0x48, 0xd5, 0x00, 0x90}, width::bits_64) == decode_error::bad_prefix);
    CHECK(refuse({0x66, 0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0}, width::bits_64) ==
          decode_error::bad_prefix);
}

TEST_CASE("refused: cut off, or longer than 15 bytes") {
    for (const width mode : widths) {
        CHECK(decode(nullptr, 0, mode).error() == decode_error::truncated);
        CHECK(refuse({0x0f}, mode) == decode_error::truncated);
        CHECK(refuse({0xe8, 0, 0, 0}, mode) == decode_error::truncated);
        CHECK(refuse({0x8b, 0x84}, mode) == decode_error::truncated);
        CHECK(refuse({0xc5}, mode) == decode_error::truncated);
        std::vector<uint8_t> bytes(14, 0x66);
        CHECK(decode(bytes.data(), bytes.size(), mode).error() == decode_error::truncated);
        bytes.push_back(0x90);
        CHECK(decode(bytes.data(), bytes.size(), mode)->length == maximum_instruction_length);
        bytes.insert(bytes.begin(), 0x66);
        CHECK(decode(bytes.data(), bytes.size(), mode).error() == decode_error::too_long);
    }
}
