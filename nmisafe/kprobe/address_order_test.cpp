// SPDX-License-Identifier: MIT
// The order of the probes by address, in every order of insertion and removal; and what it is for:
// how many instructions it takes to put many probes on one function.
#include "nmisafe/kprobe/insert_test.hpp"

#include <iterator>
#include <memory>
#include <numeric>
#include <set>

using namespace nmisafe::kprobe;
using namespace nmisafe::kprobe::test;
using internal::address_order;
using internal::ordered;

namespace {

/// One less, equal and one more than each key, against a set. @return how many are wrong.
unsigned wrong_in(const address_order& order, const std::multiset<uintptr_t>& keys) {
    unsigned wrong = 0;
    for (uintptr_t limit = 0; limit < 12; ++limit) {
        const ordered* const found = order.last_before(limit);
        const auto behind = keys.lower_bound(limit);
        const bool exists = behind != keys.begin();
        wrong += (found != nullptr) != exists;
        wrong += found != nullptr && exists && found->key != *std::prev(behind);
    }
    return wrong;
}

struct cost {
    size_t reads = 0;
    size_t inserted = 0;
};

/// `count` probes on as many NOPs; `order` says which comes when.
cost insert_all(size_t count, const std::vector<size_t>& order) {
    fake::reset();
    std::vector<uint8_t> text(count + 16, 0xcc);
    std::fill_n(text.begin(), count, uint8_t{0x90});
    fake::text.place(function, text);
    cost result;
    fake::before_read = [&] { ++result.reads; };
    std::vector<std::unique_ptr<probe>> probes;
    for (const size_t number : order) {
        probes.push_back(std::make_unique<probe>(at(static_cast<unsigned>(number), 0)));
        result.inserted += insert(*probes.back()).has_value();
    }
    fake::before_read = nullptr;
    for (const auto& one : probes) {
        CHECK(remove(*one).has_value());
        CHECK(release(*one).has_value());
    }
    return result;
}

std::vector<size_t> ascending(size_t count) {
    std::vector<size_t> order(count);
    std::iota(order.begin(), order.end(), size_t{0});
    return order;
}

} // namespace

TEST_CASE("the nearest address below another one, after every order of insertions and removals") {
    // Two of the keys are equal.
    constexpr uintptr_t keys[] = {1, 3, 5, 5, 8, 10};
    unsigned wrong = 0;
    for (unsigned count = 0; count <= std::size(keys); ++count) {
        std::vector<unsigned> in(count);
        std::iota(in.begin(), in.end(), 0u);
        do {
            std::vector<unsigned> out(count);
            std::iota(out.begin(), out.end(), 0u);
            // All orders of removal too, up to five; of six those that begin with each of them.
            do {
                address_order order{};
                ordered nodes[std::size(keys)] = {};
                std::multiset<uintptr_t> present;
                for (const unsigned i : in) {
                    order.add(nodes[i], keys[i], *reinterpret_cast<probe*>(&nodes[i]));
                    present.insert(keys[i]);
                }
                wrong += wrong_in(order, present);
                for (const unsigned i : out) {
                    order.take_out(nodes[i]);
                    present.erase(present.find(keys[i]));
                    wrong += wrong_in(order, present);
                }
                if (count == std::size(keys))
                    std::rotate(out.begin(), out.begin() + 1, out.end());
            } while (count == std::size(keys) ? out.front() != 0
                                              : std::next_permutation(out.begin(), out.end()));
        } while (std::next_permutation(in.begin(), in.end()));
    }
    CHECK(wrong == 0);
}

TEST_CASE("many probes in one function: what is decoded grows with their number, in any order") {
    constexpr size_t few = 512;
    constexpr size_t many = 8 * few;
    const auto check_growth = [&](auto order_of, size_t most_each) {
        const cost small = insert_all(few, order_of(few));
        const cost large = insert_all(many, order_of(many));
        REQUIRE(small.inserted == few);
        REQUIRE(large.inserted == many);
        INFO(small.reads << " reads of code for " << few << " probes, " << large.reads << " for "
                         << many);
        CHECK(large.reads <= many * most_each);
        // Quadratic would be 64 times as many, n log n is 10.7 times.
        CHECK(large.reads <= 12 * small.reads);
    };
    check_growth(ascending, 8);
    check_growth(
        [](size_t count) {
            auto order = ascending(count);
            std::reverse(order.begin(), order.end());
            return order;
        },
        24);
    check_growth(
        [](size_t count) {
            auto order = ascending(count);
            uint32_t seed = 1;
            for (size_t i = count; i > 1; --i) {
                seed = seed * 1664525 + 1013904223;
                std::swap(order[i - 1], order[seed / 65536 % i]);
            }
            return order;
        },
        24);
}

TEST_CASE("where to decode from is another probe of the same function only") {
    place({0xb8, 0x58, 0x58, 0x58, 0x58, 0x90, 0xc3}); // mov $, %eax; from the next byte on pops
    probe inside = at(2);
    inside.function = function + 1;
    const inserted one(inside);
    check_refused(at(3, slots + 32), probe_error::not_boundary);
    probe behind = at(5, 0);
    const inserted two(behind);
}

TEST_CASE("a probe inside another one's instruction, whatever it says its function is") {
    place(ordinary);
    probe first = at(0);
    const inserted one(first);
    for (unsigned offset = 1; offset < 5; ++offset) {
        probe inside = at(offset, 0);
        inside.function = inside.address;
        check_refused(inside, probe_error::not_boundary);
    }
    probe behind = at(5, slots + 32);
    behind.function = behind.address;
    const inserted two(behind);
}

TEST_CASE("an instruction that reaches into another probe's slot") {
    place(ordinary);
    probe first = at(0);
    const inserted one(first);
    fake::text.write(slots - 1, 0x90);
    probe beside = at(0, 0);
    beside.address = beside.function = slots - 1;
    { const inserted two(beside); }
    fake::text.write(slots - 1, 0xb0); // mov $, %al: its operand is the slot's first byte
    check_refused(beside, probe_error::no_probe);
}
