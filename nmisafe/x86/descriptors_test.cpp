// SPDX-License-Identifier: MIT
// Encodings checked against values written out by hand from the manual's figures.
#include "nmisafe/x86/descriptors.hpp"
#include "nmisafe/x86/vectors.h"

#include <doctest/doctest.h>

using namespace nmisafe::x86;

TEST_CASE("flat segments have the well-known encodings") {
    CHECK(make_segment(0, flat_limit, segment_type::code, segment_width::bits_64).bits ==
          0x00af9b000000ffff);
    CHECK(make_segment(0, flat_limit, segment_type::code, segment_width::bits_32).bits ==
          0x00cf9b000000ffff);
    CHECK(make_segment(0, flat_limit, segment_type::data, segment_width::bits_32).bits ==
          0x00cf93000000ffff);
}

TEST_CASE("base and limit of a segment are split over the descriptor") {
    CHECK(make_segment(0x12345678, 0xabcde, segment_type::data, segment_width::bits_32).bits ==
          0x12ca93345678bcde);
    CHECK(make_segment(0xfedcba98, 103, segment_type::tss_32, segment_width::system).bits ==
          0xfe0089dcba980067);
}

TEST_CASE("a system segment of long mode is put together again") {
    const uint64_t base = 0xffff9abcfedcba98;
    const auto low =
        make_segment(static_cast<uint32_t>(base), 103, segment_type::tss_32, segment_width::system);
    CHECK(system_base(low.bits, base >> 32) == base);
}

TEST_CASE("a long mode gate splits its target in three") {
    const gate_64 gate = make_gate_64(0xffffffff80123456, 0x08, 3);
    CHECK(gate.low == 0x80128e0300083456);
    CHECK(gate.high == 0x00000000ffffffff);
}

TEST_CASE("protected mode gates") {
    CHECK(make_gate_32(0xc0123456, 0x08, gate_type::interrupt).bits == 0xc0128e0000083456);
    CHECK(make_gate_32(0xc0123456, 0x28, gate_type::task).bits == 0x0000850000280000);
}

TEST_CASE("vectors with an error code") {
    for (unsigned vector = 0; vector < X86_EXCEPTION_VECTORS; ++vector) {
        const bool expected = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 ||
                              vector == 21 || vector == 29 || vector == 30;
        CHECK_MESSAGE((X86_ERROR_CODE_VECTORS >> vector & 1) == expected, vector);
    }
}
