// SPDX-License-Identifier: MIT
// What readers of CTF take, refuse and misread. The letters are those of a list of what babeltrace2 2.0.4
// does with each: A accepts, R refuses, Q accepts and shows wrong. Here whatever can be read is read, and
// what is wrong is said.
#include <doctest/doctest.h>

#include "tool/trace/made_trace_test.hpp"

using namespace nmisafe;
using namespace nmisafe::tool;
using namespace nmisafe::tool::test;

namespace {

using files = std::map<std::string, std::string>;

std::string good_packet(std::uint64_t begin, std::uint64_t end, std::uint64_t sequence,
                        std::uint64_t discarded, const std::vector<std::uint64_t>& times,
                        unsigned cpu = 0) {
    return packet(made_header(begin, end, sequence, discarded, cpu), test_events(times));
}

void check_good(const std::map<std::string, std::string>& streams, const std::string& text) {
    const found_trace found = read_streams(streams);
    CHECK(found.text == text);
    CHECK(found.problems == std::vector<std::string>{});
}

void check_bad(const std::map<std::string, std::string>& streams, const std::string& text,
               const std::string& problem) {
    const found_trace found = read_streams(streams);
    CHECK(found.text == text);
    REQUIRE(!found.problems.empty());
    CHECK(found.problems[0].find(problem) != std::string::npos);
    INFO(found.problems[0]);
}

} // namespace

TEST_CASE("A1, A6, A10, A12: a packet, equal times, one event") {
    check_good({{"cpu0", good_packet(1000, 2000, 0, 0, {1000, 1100, 2000})}},
               "1000.0 1100.0 2000.0");
    check_good({{"cpu0", good_packet(1000, 1000, 0, 0, {1000})}}, "1000.0");
    check_good({{"cpu0", good_packet(1000, 2000, 0, 0, {1500, 1500, 1500})}},
               "1500.0 1500.0 1500.0");
}

TEST_CASE("A2: streams in the order of time") {
    check_good({{"cpu0", good_packet(1000, 2000, 0, 0, {1000, 2000})},
                {"cpu1", good_packet(1500, 1800, 0, 0, {1500, 1800}, 1)}},
               "1000.0 1500.1 1800.1 2000.0");
}

TEST_CASE("A5, A7, A8, A9: packets without padding, that touch, without events") {
    check_good({{"cpu0", packet(made_header(1000, 2000, 0, 0), test_events({1000, 2000}), 0) +
                             packet(made_header(2000, 2000, 1, 0), "", 0) +
                             packet(made_header(2000, 3000, 2, 0), test_events({2000}), 999)}},
               "1000.0 2000.0 2000.0");
    check_good({{"cpu0", good_packet(0, 0, 0, 0, {})}}, "");
}

TEST_CASE("A11: an empty stream, and a file that begins with a dot") {
    check_good({{"cpu0", good_packet(1000, 2000, 0, 0, {1000})}, {"cpu1", ""}, {".hidden", "x"}},
               "1000.0");
}

TEST_CASE("A14, A15, A16: missing packets, lost events, a flight recording") {
    const std::string first = good_packet(1000, 2000, 0, 0, {1000});
    check_good({{"cpu0", first + good_packet(2000, 3000, 3, 0, {2500})}},
               "1000.0 missing(2) 2500.0");
    check_good({{"cpu0", first + good_packet(2000, 3000, 1, 5, {2500})}}, "1000.0 lost(5) 2500.0");
    check_good({{"cpu0", good_packet(1000, 2000, 1000, 77, {1000}) +
                             good_packet(2000, 3000, 1001, 77, {})}},
               "joined 1000.0");
    CHECK(read_streams({{"cpu0", good_packet(1000, 2000, 1000, 77, {1000})}}).lost == 0);
    // In the first packet that was ever written they are its own.
    check_good({{"cpu0", good_packet(1000, 2000, 0, 3, {1000})}}, "lost(3) 1000.0");
}

TEST_CASE("A17, Q2, Q3: numbers that do not go up") {
    const std::string first = good_packet(1000, 2000, 5, 5, {1000});
    check_bad({{"cpu0", first + good_packet(2000, 3000, 5, 5, {2500})}}, "joined 1000.0 2500.0",
              "sequence number");
    check_bad({{"cpu0", first + good_packet(2000, 3000, 3, 5, {2500})}}, "joined 1000.0 2500.0",
              "sequence number");
    check_bad({{"cpu0", first + good_packet(2000, 3000, 6, 2, {2500})}}, "joined 1000.0 2500.0",
              "goes down");
}

TEST_CASE("A19: times over any gap, extended headers with small numbers") {
    const std::uint64_t lap = std::uint64_t{1} << 27;
    const std::string events = compact(lap - 5, 1, plain(1)) + compact(lap + 5, 1, plain(2)) +
                               compact(2 * lap + 4, 1, plain(3)) + extended(lap << 20, 1, plain(4));
    check_good({{"cpu0", packet(made_header(lap - 9, lap << 20, 0, 0), events)}},
               "134217723.0 134217733.0 268435460.0 140737488355328.0");
}

TEST_CASE("A20: another CPU's packet in the stream") {
    check_bad({{"cpu0",
                good_packet(1000, 2000, 0, 0, {1000}) + good_packet(2000, 3000, 1, 0, {2500}, 1)}},
              "1000.0 2500.1", "another CPU");
}

TEST_CASE("A21: another trace's packet") {
    auto header = made_header(2000, 3000, 1, 0);
    header.uuid[0] ^= 1;
    check_bad(
        {{"cpu0", good_packet(1000, 2000, 0, 0, {1000}) + packet(header, test_events({2500})) +
                      good_packet(3000, 4000, 2, 0, {3500})}},
        "1000.0 missing(1) 3500.0", "UUID");
}

TEST_CASE("A18, A22: contexts, and fields of all kinds") {
    const std::string payload = bytes_of(std::uint8_t{200}) + bytes_of(std::int16_t{-300}) +
                                "hello" + std::string(1, '\0') + bytes_of(std::uint8_t{2}) +
                                bytes_of(std::uint64_t{0xffffffff80100000}) +
                                bytes_of(std::uint64_t{7}) + bytes_of(std::int64_t{-1});
    const trace_folder folder(
        made_files({{"cpu0", packet(made_header(1, 9, 0, 0), extended(5, 70000, payload, 4, 3) +
                                                                 extended(6, 2, "", 6, 255))}}));
    trace_problems problems;
    trace_reader reader(folder, problems);
    REQUIRE(reader.next() == trace_item::event);
    const trace_event& event = reader.event();
    CHECK(event.type->name == "all");
    CHECK(event.context == ctf::context::nmi);
    CHECK(event.depth == 3);
    field_reader fields(event);
    CHECK(fields.next(ctf::kind::u8).number == 200);
    CHECK(static_cast<std::int64_t>(fields.next(ctf::kind::i16).number) == -300);
    CHECK(fields.next(ctf::kind::string).text == "hello");
    const field_value chain = fields.next(ctf::kind::addresses);
    REQUIRE(chain.address_count() == 2);
    CHECK(chain.address(0) == 0xffffffff80100000);
    CHECK(chain.address(1) == 7);
    CHECK(static_cast<std::int64_t>(fields.next(ctf::kind::i64).number) == -1);
    field_value last;
    CHECK(find_field(event, "last", last));
    CHECK(last.number == ~std::uint64_t{0});
    CHECK(!find_field(event, "none", last));
    REQUIRE(reader.next() == trace_item::event);
    CHECK(reader.event().type->name == "empty");
    CHECK(reader.event().payload.empty());
    CHECK(reader.event().depth == 255);
    CHECK(reader.next() == trace_item::end);
    CHECK(reader.next() == trace_item::end);
    CHECK(problems.count() == 0);
}

TEST_CASE("R1, R5: times that go backwards, or are before the packet") {
    check_bad({{"cpu0", good_packet(1000, 2000, 0, 0, {1000, 1100, 1050, 2000}) +
                            good_packet(2000, 3000, 1, 0, {2500})}},
              "1000.0 1100.0 2500.0", "backwards, behind 2 events");
    check_bad({{"cpu0", good_packet(1500, 2000, 0, 0, {1000, 2000})}}, "",
              "backwards, behind 0 events");
}

TEST_CASE("R2: backwards in 27 bits is a lap too far") {
    const std::string events = compact(1100, 0, plain(1)) + compact(1050, 0, plain(2));
    check_bad({{"cpu0", packet(made_header(1000, 2000, 0, 0), events)}}, "1100.0",
              "later than its packet");
}

TEST_CASE("R3: an event behind its packet's end") {
    check_bad({{"cpu0", good_packet(1000, 2000, 0, 0, {1000, 2500}) +
                            good_packet(2600, 3000, 1, 0, {2700})}},
              "1000.0 2700.0", "later than its packet");
}

TEST_CASE("R4: packets that overlap") {
    check_bad({{"cpu0", good_packet(1000, 2500, 0, 0, {1000, 2500}) +
                            good_packet(2400, 3000, 1, 0, {2450})}},
              "1000.0 2500.0", "before the end");
    check_bad({{"cpu0", good_packet(1000, 2000, 0, 0, {1000, 1500}) +
                            good_packet(1800, 3000, 1, 0, {2100})}},
              "1000.0 1500.0 2100.0", "before the end");
}

TEST_CASE("R6, A13, R7: an end that has no time") {
    for (const std::uint64_t end : {std::uint64_t{0}, ~std::uint64_t{0}}) {
        check_bad({{"cpu0", good_packet(1000, end, 0, 0, {1000, 1500})}}, "1000.0 1500.0",
                  "no time");
    }
}

TEST_CASE("R8: one bad stream costs no other") {
    check_bad({{"cpu0", good_packet(1000, 9000, 0, 0, {1000, 5000, 9000})},
               {"cpu1", good_packet(1000, 9000, 0, 0, {2000, 1900, 8000}, 1)}},
              "1000.0 2000.1 5000.0 9000.0", "cpu1, byte 0: the time goes backwards");
}

TEST_CASE("R9: bytes that are no packet, at the end and between") {
    const std::string first = good_packet(1000, 2000, 0, 0, {1000});
    const std::string second = good_packet(2000, 3000, 1, 0, {2500});
    for (const char filler : {'\0', '\xff', '\xc1'}) {
        check_bad({{"cpu0", first + second + std::string(4096, filler)}}, "1000.0 2500.0",
                  "no packet begins here");
        check_bad({{"cpu0", first + std::string(100001, filler) + second}}, "1000.0 2500.0",
                  "goes on at");
    }
    std::string flipped = first + second;
    flipped[4096] ^= 1;
    check_bad({{"cpu0", flipped}}, "1000.0", "no packet begins here");
}

TEST_CASE("R10: a packet that is cut off, or says it is longer than the file") {
    const std::string first = good_packet(1000, 2000, 0, 0, {1000});
    const std::string second = good_packet(2000, 3000, 1, 0, {2500, 2600});
    for (std::size_t size = 1; size < 4096; size += 13) {
        const found_trace found = read_streams({{"cpu0", first + second.substr(0, size)}});
        CHECK(!found.problems.empty());
        const std::string wanted = size < 108 + 27       ? "1000.0"
                                   : size < 108 + 2 * 27 ? "1000.0 2500.0"
                                                         : "1000.0 2500.0 2600.0";
        CHECK(found.text == wanted);
    }
    std::string longer = first;
    longer[55] = 1; // of the packet's size
    check_bad({{"cpu0", longer + second}}, "1000.0 2500.0 2600.0", "ends inside");
}

TEST_CASE("R11: an unknown event") {
    check_bad({{"cpu0", packet(made_header(1000, 2000, 0, 0),
                               test_event(1000) + test_event(1100, 99) + test_event(1200)) +
                            good_packet(2000, 3000, 1, 0, {2500})}},
              "1000.0 2500.0", "unknown, behind 1 events");
}

TEST_CASE("R14: an unknown stream class") {
    auto header = made_header(1000, 2000, 0, 0);
    header.stream_id = 8;
    check_bad({{"cpu0", packet(header, test_events({1000}))}}, "", "unknown stream class");
}

TEST_CASE("R15, R16: sizes that are none, an event that is cut") {
    const std::string next = good_packet(2000, 3000, 1, 0, {2500});
    std::string made = good_packet(1000, 2000, 0, 0, {1000, 1500});
    const auto with_content = [&](std::uint64_t bits) {
        std::string changed = made;
        std::memcpy(changed.data() + 40, &bits, 8);
        return changed + next;
    };
    check_bad({{"cpu0", with_content(8 * 5000)}}, "joined 2500.0", "larger than the packet");
    check_bad({{"cpu0", with_content(0)}}, "joined 2500.0", "size is none");
    check_bad({{"cpu0", with_content(8 * 107)}}, "joined 2500.0", "size is none");
    check_bad({{"cpu0", with_content(8 * (108 + 27 + 5))}}, "1000.0 2500.0",
              "ends inside an event");
    std::memset(made.data() + 48, 0, 8); // the packet's size
    check_bad({{"cpu0", made + next}}, "joined 2500.0", "larger than the packet");
}

TEST_CASE("R17: a file that is no stream") {
    check_bad({{"cpu0", good_packet(1000, 2000, 0, 0, {1000})}, {"README", "what this is\n"}},
              "1000.0", "README, byte 0");
}

TEST_CASE("A3, A4, R13: what is no trace of nmisafe's") {
    CHECK_THROWS_WITH_AS(trace_folder(files{{"cpu0", ""}}),
                         "memory: no trace: it has no file `metadata`", trace_error);
    CHECK_THROWS_AS(trace_folder(files{{"metadata", "/* CTF 1.8 */\ntrace {};"}}), trace_error);
    CHECK_THROWS_AS(trace_folder(files{{"metadata", "hello"}}), trace_error);
    CHECK_THROWS_AS(trace_folder(files{{".metadata.ctf2", ""}}), trace_error);
    CHECK_THROWS_AS(trace_folder("/no/such/folder"), trace_error);
    CHECK_THROWS_AS(trace_folder("/dev/null"), trace_error);
    // CTF 2 alone is enough.
    CHECK(read_all(trace_folder(files{{"metadata", write_ctf2(made_description())},
                                      {"cpu0", good_packet(1000, 2000, 0, 0, {1000})}}))
              .text == "1000.0");
}

TEST_CASE("a sidecar that is damaged is a warning") {
    auto files = made_files({{"cpu0", good_packet(1000, 2000, 0, 0, {1000})}});
    files[".nmisafe.json"] = "{";
    const trace_folder folder(files);
    CHECK(folder.warnings().size() == 1);
    CHECK(read_all(folder).text == "1000.0");
}

TEST_CASE("an event's context that is none") {
    check_bad({{"cpu0", packet(made_header(1000, 2000, 0, 0), extended(1000, 0, plain(1), 7, 0))}},
              "", "context is unknown");
}

TEST_CASE("nanoseconds of clocks of any rate") {
    trace_description about = made_description();
    about.frequency = 3'000'000'000;
    about.clock_offset = 3'000'000'000u * std::uint64_t{1'700'000'000};
    const trace_folder folder(files{{".metadata.ctf2", write_ctf2(about)}});
    CHECK(folder.nanoseconds(3000) == 1000);
    CHECK(folder.real_nanoseconds(3000) == 1'700'000'000'000'001'000);
    CHECK(folder.nanoseconds(~std::uint64_t{0}) == 6148914691236517205);
}
