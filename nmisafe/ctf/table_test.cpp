// SPDX-License-Identifier: MIT
#include "nmisafe/ctf/table.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

using namespace nmisafe;

namespace {

constexpr ctf::field fields[] = {{"length", ctf::kind::u32},
                                 {"address", ctf::kind::u64, ctf::base::hexadecimal},
                                 {"chain", ctf::kind::addresses}};
constexpr ctf::event packet{40, "net_packet", fields};
constexpr ctf::event empty{2, "empty"};

std::vector<uint8_t> table_of_two() {
    std::vector<uint8_t> table(ctf::table_size(packet) + ctf::table_size(empty));
    uint32_t length = 0;
    CHECK(ctf::append(table.data(), static_cast<uint32_t>(table.size()), length, packet));
    CHECK(ctf::append(table.data(), static_cast<uint32_t>(table.size()), length, empty));
    CHECK(length == table.size());
    return table;
}

} // namespace

TEST_CASE("what was put in comes out") {
    const auto table = table_of_two();
    const uint8_t* at = table.data();
    const uint8_t* const end = at + table.size();
    ctf::found_event found;
    REQUIRE(ctf::next_event(at, end, found));
    CHECK(found.id == 40);
    CHECK(found.name == std::string("net_packet"));
    REQUIRE(found.field_count == 3);
    for (unsigned i = 0; i < 3; ++i) {
        CHECK(found.fields[i].name == std::string(fields[i].name));
        CHECK(found.fields[i].type == fields[i].type);
        CHECK(found.fields[i].shown == fields[i].shown);
    }
    REQUIRE(ctf::next_event(at, end, found));
    CHECK(found.id == 2);
    CHECK(found.field_count == 0);
    CHECK(at == end);
    CHECK(!ctf::next_event(at, end, found));
}

TEST_CASE("what has no room changes nothing") {
    const uint32_t size = ctf::table_size(packet);
    std::vector<uint8_t> table(size, 0xee);
    uint32_t length = 0;
    CHECK(!ctf::append(table.data(), size - 1, length, packet));
    CHECK(length == 0);
    CHECK(table == std::vector<uint8_t>(size, 0xee));
    CHECK(ctf::append(table.data(), size, length, packet));
    CHECK(!ctf::append(table.data(), size, length, empty));
    CHECK(length == size);
}

TEST_CASE("a table that is cut or damaged anywhere is read within its bounds") {
    const auto whole = table_of_two();
    ctf::found_event found;
    for (size_t size = 0; size < whole.size(); ++size) {
        const std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
        const uint8_t* at = cut.data();
        unsigned count = 0;
        while (ctf::next_event(at, cut.data() + cut.size(), found))
            ++count;
        CHECK(count == (size >= ctf::table_size(packet) ? 1 : 0));
    }
    for (size_t byte = 0; byte < whole.size(); ++byte) {
        for (unsigned value = 0; value < 256; ++value) {
            auto damaged = whole;
            damaged[byte] = static_cast<uint8_t>(value);
            const uint8_t* at = damaged.data();
            const uint8_t* const end = at + damaged.size();
            while (ctf::next_event(at, end, found)) {
                CHECK(at <= end);
                CHECK(found.as_event().is_good());
            }
        }
    }
}
