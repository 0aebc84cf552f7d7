// SPDX-License-Identifier: MIT
// Batches of none to six patches, in every order, and how near to each other they may be.
#include "nmisafe/platform/fake/nmisafe_platform.hpp"
#include "nmisafe/text_patch/text_patch.hpp"

#include <algorithm>
#include <doctest/doctest.h>
#include <numeric>
#include <vector>

using namespace nmisafe::text_patch;

namespace {

using fake = nmisafe_platform;

constexpr uintptr_t text_begin = 0x40000000;
constexpr size_t length = 5;
constexpr unsigned most = 6;

/// `mov $0, %eax`, so often.
void place() {
    std::vector<uint8_t> text;
    for (unsigned i = 0; i < most; ++i)
        text.insert(text.end(), {0xb8, 0, 0, 0, 0});
    fake::reset();
    fake::text.place(text_begin, text);
}

patch load(uintptr_t address, uint8_t before, uint8_t after) {
    return {address, 0, 0, 0, length, 0, {0xb8, before, 0, 0, 0}, {0xb8, after, 0, 0, 0}, {}};
}

/// Calls `visit(order)` for each order of so many numbers from 0 on.
template <typename Visit>
void for_each_order(unsigned count, Visit visit) {
    std::vector<unsigned> order(count);
    std::iota(order.begin(), order.end(), 0);
    do
        visit(order);
    while (std::next_permutation(order.begin(), order.end()));
}

} // namespace

TEST_CASE("batches of none to six, in every order") {
    place();
    for (unsigned count = 0; count <= most; ++count) {
        uint8_t now = 0;
        for_each_order(count, [&](const std::vector<unsigned>& order) {
            std::vector<patch> batch;
            for (const unsigned which : order)
                batch.push_back(load(text_begin + which * length, now, !now));
            REQUIRE(apply(batch.data(), batch.size()).value_or(most + 1) == count);
            now = !now;
            for (unsigned i = 0; i < most; ++i)
                REQUIRE(fake::text.bytes[i * length + 1] == (i < count ? now : 0));
            for (unsigned i = 1; i < count; ++i)
                REQUIRE(batch[i - 1].address < batch[i].address);
        });
        for (unsigned i = 0; now != 0 && i < count; ++i) {
            patch back = load(text_begin + i * length, 1, 0);
            REQUIRE(apply(&back, 1));
        }
    }
}

TEST_CASE("patches that touch are apart, one byte more is too much, in every order") {
    place();
    const auto try_it = [](uintptr_t second, size_t second_expects,
                           const std::vector<unsigned>& order) {
        // The one in the middle is a probe's, which changes one byte and expects more.
        patch probe = load(text_begin + second, 0, 0);
        probe.size = 1;
        probe.expected_size = static_cast<uint8_t>(second_expects);
        for (size_t i = 0; i < second_expects; ++i)
            probe.before[i] = fake::text.bytes[second + i];
        probe.after[0] = breakpoint;
        const patch all[] = {load(text_begin, 0, 1), probe, load(text_begin + 2 * length, 0, 1)};
        std::vector<patch> batch;
        for (const unsigned which : order)
            batch.push_back(all[which]);
        const auto result = apply(batch.data(), batch.size());
        return result ? patch_error{} : result.error();
    };
    for_each_order(3, [&](const std::vector<unsigned>& order) {
        for (const auto& [begin, size] : {std::pair{length, length}, std::pair{length, size_t{1}},
                                          std::pair{2 * length - 1, size_t{1}}}) {
            place();
            CHECK(try_it(begin, size, order) == patch_error{});
        }
        for (const auto& [begin, size] :
             {std::pair{length - 1, length}, std::pair{length - 1, size_t{1}},
              std::pair{length, length + 1}, std::pair{2 * length, size_t{1}},
              std::pair{size_t{0}, size_t{1}}}) {
            place();
            CHECK(try_it(begin, size, order) == patch_error::overlap);
            CHECK(fake::text_writes == 0);
        }
    });
}
