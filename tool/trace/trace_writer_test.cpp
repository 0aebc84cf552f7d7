// SPDX-License-Identifier: MIT
#include "tool/trace/trace_writer.hpp"

#include <doctest/doctest.h>
#include <fstream>
#include <sstream>
#include <unistd.h>

#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/ring_buffer/read.hpp"
#include "nmisafe/ring_buffer/write.hpp"
#include "tool/trace/made_trace_test.hpp"

using namespace nmisafe;
using namespace nmisafe::tool;
using namespace nmisafe::tool::test;

namespace {

struct scratch {
    scratch() {
        char name[] = "/tmp/nmisafe-trace-XXXXXX";
        path = ::mkdtemp(name);
    }
    ~scratch() { std::filesystem::remove_all(path); }
    std::filesystem::path path;
};

struct test_clock {
    static inline std::uint64_t now = 1000;
    std::uint64_t read() const { return now += 10; }
};

found_trace read_folder(const std::filesystem::path& folder) {
    return read_all(trace_folder(folder));
}

} // namespace

TEST_CASE("what a ring buffer gives is written and read") {
    const scratch folder;
    const trace_description about = made_description();
    alignas(64) static std::uint8_t memory[ring_buffer::block_size(1024, 4)];
    const auto made = ring_buffer::create(memory, sizeof memory,
                                          {.sub_buffer_size = 1024,
                                           .sub_buffer_count = 4,
                                           .cpu = 3,
                                           .stream_id = 7,
                                           .uuid = about.uuid.data()});
    REQUIRE(made);
    trace_writer writer(folder.path / "trace", about);
    std::uint64_t written = 0;
    std::uint64_t lost = 0;
    for (unsigned i = 0; i < 5000; ++i) {
        const auto event = ring_buffer::reserve(**made, 0, 14, test_clock{});
        if (event) {
            std::memset(event.payload, 0, 14);
            ring_buffer::commit(**made, event);
            ++written;
        } else {
            ++lost;
        }
        if (i % 1000 < 500) {
            while (const auto found = ring_buffer::take(**made)) {
                const auto* const bytes = reinterpret_cast<const std::uint8_t*>(found->header);
                const append_result result = writer.append("kernel_3", {bytes, found->size});
                CHECK(result.is_written);
                CHECK(result.problems == std::vector<std::string>{});
                ring_buffer::release(**made);
            }
        }
    }
    const std::uint64_t in_buffer = written;
    ring_buffer::close_packet(**made, test_clock{});
    append_result last;
    while (const auto found = ring_buffer::take(**made)) {
        last = writer.append("kernel_3",
                             {reinterpret_cast<const std::uint8_t*>(found->header), found->size});
        ring_buffer::release(**made);
    }
    writer.finish();
    CHECK(lost > 0);
    const found_trace found = read_folder(folder.path / "trace");
    CHECK(found.problems == std::vector<std::string>{});
    CHECK(found.events == in_buffer);
    CHECK(found.lost == last.lost[0]);
    CHECK(trace_folder(folder.path / "trace").description() == about);
}

TEST_CASE("events that come later are in the metadata") {
    const scratch folder;
    trace_writer writer(folder.path, made_description());
    const std::string later = packet(made_header(1, 9, 0, 0), extended(5, 500, ""));
    CHECK(writer.append("x_0", as_bytes(later)).events == 0);
    writer.description().events.push_back({500, "later", {}});
    const std::string again = packet(made_header(9, 19, 1, 0), extended(15, 500, ""));
    CHECK(writer.append("x_0", as_bytes(again)).events == 1);
    writer.finish();
    CHECK(read_folder(folder.path).events == 1);
}

TEST_CASE("what would make others refuse the trace is left out or mended") {
    const scratch folder;
    trace_writer writer(folder.path, made_description());
    const auto append = [&](const std::string& bytes) {
        return writer.append("cpu0", as_bytes(bytes));
    };
    const auto made = [](std::uint64_t begin, std::uint64_t end, std::uint64_t sequence,
                         std::uint64_t lost, const std::vector<std::uint64_t>& times,
                         unsigned cpu = 0) {
        return packet(made_header(begin, end, sequence, lost, cpu), test_events(times));
    };
    CHECK(append(made(1000, 2000, 4, 3, {1000, 1900})).problems.empty());
    CHECK(!append(made(2000, 3000, 4, 3, {2100})).is_written);    // the number again
    CHECK(!append(made(2000, 3000, 5, 3, {2100}, 1)).is_written); // of another CPU
    CHECK(!append(made(1000, 3000, 5, 3, {1990})).is_written);    // an event before the end
    CHECK(!append("short").is_written);
    auto foreign = made_header(2000, 3000, 5, 3);
    foreign.uuid[3] ^= 4;
    CHECK(!append(packet(foreign, "")).is_written);
    // Begins too early, but its events do not.
    append_result result = append(made(1500, 3000, 5, 3, {2100}));
    CHECK(result.is_written);
    CHECK(result.problems.size() == 1);
    // Cut behind its last good event; no time of its end; counts that go down.
    CHECK(append(made(3000, 4000, 6, 3, {3100, 3050})).events == 1);
    CHECK(append(made(4000, 0, 7, 3, {4000, 4100})).events == 2);
    CHECK(append(made(4000, ~std::uint64_t{0}, 8, 3, {4200})).events == 1);
    CHECK(append(made(5000, 6000, 9, 1, {5500})).lost[0] == 3);
    CHECK(append(made(6000, 7000, 10, 4, {6500}).substr(0, 108 + 20)).events == 0);
    writer.add_stream("cpu1");
    writer.finish();
    const found_trace found = read_folder(folder.path);
    CHECK(found.problems == std::vector<std::string>{});
    CHECK(found.text == "joined 1000.0 1900.0 2100.0 3100.0 4000.0 4100.0 4200.0 5500.0 lost(1)");
    CHECK(std::filesystem::file_size(folder.path / "cpu1") == 0);
}

TEST_CASE("compact headers stay in their laps when a packet's begin moves") {
    const scratch folder;
    const std::uint64_t lap = std::uint64_t{1} << 27;
    trace_writer writer(folder.path, made_description());
    writer.append("cpu0", as_bytes(packet(made_header(100, lap, 0, 0), "")));
    const std::string next = packet(made_header(50, 3 * lap, 1, 0), compact(lap + 20, 0, plain(1)));
    // From 50 on it is at 20 + lap's low bits: a lap earlier than meant would be before the end.
    const append_result result = writer.append("cpu0", as_bytes(next));
    CHECK(!result.problems.empty());
    writer.finish();
    CHECK(read_folder(folder.path).problems == std::vector<std::string>{});
}

TEST_CASE("folders that are not empty are left alone") {
    const scratch folder;
    std::ofstream(folder.path / "precious") << "x";
    CHECK_THROWS_AS(trace_writer(folder.path, made_description()), trace_error);
    CHECK_THROWS_AS(trace_writer(folder.path, made_description(), true), trace_error);
    CHECK_THROWS_AS(trace_writer(folder.path / "precious", made_description()), trace_error);
    CHECK_THROWS_AS(trace_writer("/proc/no/trace", made_description()), trace_error);
    { trace_writer(folder.path / "trace", made_description()).add_stream("old"); }
    CHECK_THROWS_AS(trace_writer(folder.path / "trace", made_description()), trace_error);
    { const trace_writer again(folder.path / "trace", made_description(), true); }
    CHECK(!std::filesystem::exists(folder.path / "trace" / "old"));
    CHECK_THROWS_AS(
        trace_writer(folder.path / "trace", made_description(), true).add_stream("../x"),
        trace_error);
    trace_description bad = made_description();
    bad.events.push_back(bad.events[0]);
    CHECK_THROWS_AS(trace_writer(folder.path / "bad", bad), trace_error);
}

TEST_CASE("CTF 2 is written alone, and read") {
    const scratch folder;
    trace_writer writer(folder.path, made_description(), false, trace_format::ctf2);
    writer.append("cpu0", as_bytes(packet(made_header(1, 9, 0, 0), test_event(5))));
    writer.finish();
    CHECK(!std::filesystem::exists(folder.path / ".metadata.ctf2"));
    CHECK(read_folder(folder.path).text == "5.0");
}
