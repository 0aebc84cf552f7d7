// SPDX-License-Identifier: MIT
// nmi_block.h: where the library accepts a block, what it writes into it and below it, and what abandon_nmi() puts
// back. Written from the drawing at the head of that file.
#include "nmisafe/trap/nmi_block.h"

#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/nmi_boundary.hpp"
#include "nmisafe/trap/nmi_debug.hpp"

#include <cstring>
#include <doctest/doctest.h>

using namespace nmisafe;
using trap::nmi_block;

namespace {

constexpr size_t page = 4096;
alignas(page) uint8_t memory[3 * page];
uint32_t forgotten;

/// A block whose end is so many bytes before the end of the second page.
nmi_block& block_before_end(size_t left) {
    std::memset(memory, 0xa5, sizeof(memory));
    return *reinterpret_cast<nmi_block*>(memory + 2 * page - left - sizeof(nmi_block));
}

/// How far the last place that is aligned lies before the page's end.
constexpr size_t left_at_last = (page - sizeof(nmi_block)) % alignof(nmi_block);

uintptr_t address_of(const nmi_block& block) {
    return reinterpret_cast<uintptr_t>(&block);
}

uint32_t level_at(const nmi_block& block, uint32_t level) {
    uint32_t value;
    std::memcpy(&value,
                reinterpret_cast<const uint8_t*>(&block) - level * NMI_STRIDE + NMI_BLOCK_LEVEL,
                sizeof(value));
    return value;
}

} // namespace

// The test links nmi_block.cpp alone.
namespace nmisafe::trap::internal {
void forget_nmi_debugging() {
    ++forgotten;
}
bool is_nmi_stack_in_use() {
    return false;
}
} // namespace nmisafe::trap::internal

TEST_CASE("a block is taken up to the last place of a page, and nowhere beyond or between") {
    trap::set_up_nmi_block(block_before_end(left_at_last), 1);
    for (size_t further = 1; further < sizeof(nmi_block); ++further) {
        auto& block = *reinterpret_cast<nmi_block*>(
            reinterpret_cast<uint8_t*>(&block_before_end(left_at_last)) + further);
        CHECK_THROWS_AS(trap::set_up_nmi_block(block, 1), platform::fake::panicked);
    }
    trap::set_up_nmi_block(*reinterpret_cast<nmi_block*>(memory + 2 * page), 1);
    auto& between = *reinterpret_cast<nmi_block*>(memory + page + 8);
    CHECK_THROWS_AS(trap::set_up_nmi_block(between, 1), platform::fake::panicked);
}

TEST_CASE("what a block holds, and the heads of the levels below it") {
    nmi_block& block = block_before_end(left_at_last);
    trap::set_up_nmi_block(block, 0x1234);
    for (uint32_t level = 0; level <= 3; ++level)
        CHECK(level_at(block, level) == level);
    CHECK(uint64_t{block.gs_base} == 0x1234);
    CHECK(uint32_t{block.pending} == 0);
    CHECK(uint64_t{block.has_foreign_gs} == 0);
    CHECK(uint32_t{block.has_fsgsbase} == 0);
    CHECK(uintptr_t{block.other_exit.begin} == 0);
    CHECK(uintptr_t{block.other_exit.end} == 0);
    CHECK(uintptr_t{block.tss.ist[trap::nmi_ist - 1]} == address_of(block));
    CHECK(uint16_t{block.tss.io_map_base} == sizeof(block.tss));
}

TEST_CASE("an abandoned NMI leaves nothing that the next one finds") {
    nmi_block& block = block_before_end(left_at_last);
    trap::set_up_nmi_block(block, 1);
    block.tss.ist[trap::nmi_ist - 1] = address_of(block) - 2 * NMI_STRIDE;
    block.pending = 1;
    block.has_foreign_gs = 1;
    platform::contract::this_cpu().debug_frame = 1;
    forgotten = 0;
    trap::abandon_nmi(block);
    CHECK(uintptr_t{block.tss.ist[trap::nmi_ist - 1]} == address_of(block));
    CHECK(uint32_t{block.pending} == 0);
    CHECK(uint64_t{block.has_foreign_gs} == 0);
    CHECK(platform::contract::this_cpu().debug_frame == 0);
    CHECK(forgotten == 1);
}
