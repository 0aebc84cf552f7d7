// SPDX-License-Identifier: MIT
#include "tool/trace/metadata.hpp"

#include <doctest/doctest.h>

#include "tool/trace/made_trace_test.hpp"

using namespace nmisafe;
using namespace nmisafe::tool;

namespace {

std::string why_refused(const std::string& text) {
    try {
        read_ctf2(text);
    } catch (const trace_error& error) {
        return error.what();
    }
    return {};
}

std::string replace(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

} // namespace

TEST_CASE("what is written is read") {
    trace_description about = test::made_description();
    about.clock_offset = 0xffff'ffff'ffff'fff0;
    trace_description found = read_ctf2(write_ctf2(about));
    read_sidecar(write_sidecar(about), found);
    CHECK(found == about);
    about.has_context = false;
    CHECK(!read_ctf2(write_ctf2(about)).has_context);
}

TEST_CASE("TSDL is as long as it is") {
    trace_description about = test::made_description();
    for (unsigned i = 100; i < 300; ++i) {
        about.events.push_back({i, "event_" + std::to_string(i), {{"x", ctf::kind::u8}}});
    }
    const std::string text = write_tsdl(about);
    CHECK(text.starts_with("/* CTF 1.8 */"));
    CHECK(text.ends_with("};\n"));
    CHECK(text.find("name = \"event_299\"") != std::string::npos);
    CHECK(text.find('\0') == std::string::npos);
}

TEST_CASE("metadata that are damaged or foreign are refused, with a reason") {
    const std::string good = write_ctf2(test::made_description());
    CHECK(why_refused("").find("CTF 2") != std::string::npos);
    CHECK(why_refused("{}").find("CTF 2") != std::string::npos);
    CHECK(why_refused(good.substr(0, good.size() / 2)).find("no JSON object") != std::string::npos);
    CHECK(why_refused(good.substr(0, good.find('\x1e', 1))) == "it is not whole");
    CHECK(why_refused(replace(good, "\"version\":2", "\"version\":3")).find("version 2") !=
          std::string::npos);
    CHECK(why_refused(replace(good, "timestamp_begin", "timestamp_first")).find("foreign") !=
          std::string::npos);
    CHECK(why_refused(replace(good, "\"length\":27", "\"length\":28")).find("foreign") !=
          std::string::npos);
    CHECK(why_refused(replace(good, "null-terminated-string", "static-length-string"))
              .find("foreign") != std::string::npos);
    CHECK(why_refused(replace(good, "\"name\":\"nmi\"", "\"name\":\"a b\"")).find("identifier") !=
          std::string::npos);
    CHECK(why_refused(replace(good, "\"id\":70000", "\"id\":0")).find("number 0") !=
          std::string::npos);
    CHECK(why_refused(replace(good, "\"frequency\":1000000000", "\"frequency\":0")).find("0 Hz") !=
          std::string::npos);
    CHECK(why_refused(replace(good, "\"id\":70000", "\"id\":4294967296")).find("too large") !=
          std::string::npos);
}

TEST_CASE("a sidecar that is damaged changes nothing but itself") {
    trace_description about = test::made_description();
    for (const char* bad : {"", "[]", "{\"version\":2}", "{\"version\":1,\"images\":[3]}",
                            "{\"version\":1,\"width\":\"x\"}", "{\"version\":1,\"width\":-4}"}) {
        CHECK_THROWS_AS(read_sidecar(bad, about), trace_error);
    }
    CHECK(about.events == test::made_description().events);
}

TEST_CASE("every byte of the metadata changed: refused or read, no crash") {
    const std::string good = write_ctf2(test::made_description());
    unsigned refused = 0;
    for (std::size_t i = 0; i < good.size(); i += 3) {
        std::string damaged = good;
        damaged[i] = static_cast<char>(damaged[i] ^ (1 << i % 8));
        refused += why_refused(damaged).empty() ? 0u : 1u;
    }
    CHECK(refused > good.size() / 10);
}
