// SPDX-License-Identifier: MIT
#include "nmisafe/trace_descriptor/descriptor.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

using namespace nmisafe;
using namespace nmisafe::trace_descriptor;

namespace {

constexpr descriptor_parameters wanted{.physical = 0x20'0000,
                                       .frequency = 1'000'000'000,
                                       .place_capacity = 2,
                                       .image_capacity = 2,
                                       .type_capacity = 64,
                                       .system = "test"};

alignas(64) uint8_t memory[4096];

descriptor& made() {
    std::memset(memory, 0xee, sizeof memory);
    return **create_descriptor(memory, descriptor_size(wanted), wanted);
}

} // namespace

TEST_CASE("what is made is one, and only where it lies") {
    const auto& it = made();
    const uint32_t size = descriptor_size(wanted);
    CHECK(is_descriptor(&it, size, 0x20'0000));
    CHECK(!is_descriptor(&it, size, 0x30'0000));
    CHECK(!is_descriptor(&it, size - 1, 0x20'0000));
    CHECK(it.system == std::string("test"));
    CHECK(it.width == 8 * sizeof(void*));
    CHECK(memory[size] == 0xee);
}

TEST_CASE("bad memory is refused") {
    CHECK(create_descriptor(memory, descriptor_size(wanted) - 1, wanted).error() ==
          descriptor_error::too_small);
    CHECK(create_descriptor(memory + 8, sizeof memory - 8, wanted).error() ==
          descriptor_error::unaligned);
    descriptor_parameters elsewhere = wanted;
    elsewhere.physical += 64;
    CHECK(create_descriptor(memory, sizeof memory, elsewhere).error() ==
          descriptor_error::unaligned);
}

TEST_CASE("tables take what they have room for") {
    auto& it = made();
    CHECK(add_place(it, {0x1000, 64, 0}));
    CHECK(add_place(it, {0x2000, 64, 1}));
    CHECK(!add_place(it, {0x3000, 64, 2}));
    CHECK(it.place_count == 2);
    CHECK(places_of(it)[1].physical == 0x2000);

    CHECK(add_image(it, {.begin = 1, .size = 8, .file = "kernel"}) == 0);
    CHECK(add_image(it, {.begin = 2, .size = 8, .file = "first"}) == 1);
    CHECK(add_image(it, {.begin = 3, .size = 8, .file = "second"}) == -1);
    note_unloaded(it, 1, 7);
    CHECK(images_of(it)[1].unloaded == 7);
    CHECK(add_image(it, {.begin = 3, .size = 8, .file = "second"}) == 1);
    CHECK(images_of(it)[1].file == std::string("second"));
    CHECK(images_of(it)[1].size == 8);
    CHECK(is_descriptor(&it, sizeof memory, 0x20'0000));
}

TEST_CASE("one that is damaged is none, or has its tables inside") {
    made();
    const std::vector<uint8_t> whole(memory, memory + sizeof memory);
    for (size_t byte = 0; byte < sizeof(descriptor); ++byte) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            std::memcpy(memory, whole.data(), sizeof memory);
            memory[byte] ^= static_cast<uint8_t>(1 << bit);
            const auto& it = *reinterpret_cast<descriptor*>(memory);
            if (!is_descriptor(memory, sizeof memory, 0x20'0000))
                continue;
            const auto* const end = memory + sizeof memory;
            CHECK(reinterpret_cast<const uint8_t*>(places_of(it) + it.place_count) <= end);
            CHECK(reinterpret_cast<const uint8_t*>(images_of(it) + it.image_count) <= end);
            CHECK(types_of(it) + it.type_length <= end);
        }
    }
}
