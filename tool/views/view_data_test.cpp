// SPDX-License-Identifier: MIT
#include "tool/views/view_data.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace nmisafe::tool {
namespace {

using json = nlohmann::json;
using ctf::context;

TEST_CASE("the JSON is what the README says") {
    view_data data;
    data.title = "a </script> <!-- title";
    const auto irq = data.add_kind("irq_handler_entry", {{"irq", false}, {"name", true}});
    const auto empty = data.add_kind("nmi_entry", {});
    data.add_event(1, 1010, irq, {context::interrupt, 1}, {std::int64_t{-3}, "timer"});
    data.add_event(1, 1025, empty, {context::nmi, 2}, {});
    data.add_event(0, 1500, irq, {context::interrupt, 1}, {~std::uint64_t{0}, "timer"});
    data.add_event(0, 1500, irq, {context::interrupt, 1}, {std::uint64_t{1} << 53, "timer"});
    data.add_span(1, {1025, 1030, 1, span_kind::context, context::nmi, "NMI"});
    data.add_span(1, {1010, 1040, 0, span_kind::context, context::interrupt, "timer"});
    data.add_span(1, {1050, 1060, 0, span_kind::system_call, context::thread, "write"});
    data.add_loss(0, 1100, 5000, 7, "kernel");
    data.add_calls({"main", "work"});
    data.add_calls({"main", "work"}, 2);
    data.add_calls({"main"});
    data.add_calls({"work"});
    const std::string text = data.json();
    CHECK(text.find('<') == std::string::npos);
    const json all = json::parse(text);
    CHECK(all["version"] == 1);
    CHECK(all["title"] == "a </script> <!-- title");
    CHECK(all["begin"] == "1010");
    CHECK(all["length"] == 490);
    const auto name = [&](const json& index) { return all["names"][index.get<std::size_t>()]; };
    REQUIRE(all["cpus"].size() == 2);
    const json& one = all["cpus"][1];
    CHECK(one["cpu"] == 1);
    CHECK(one["events"]["time"] == json({0, 15}));
    CHECK(one["events"]["depth"] == json({1, 2}));
    CHECK(one["events"]["context"] == json({2, 4}));
    CHECK(one["events"]["values"].size() == 2);
    CHECK(one["events"]["values"][0] == -3);
    CHECK(name(one["events"]["values"][1]) == "timer");
    CHECK(one["spans"]["begin"] == json({0, 15, 25}));
    CHECK(one["spans"]["length"] == json({30, 5, 10}));
    CHECK(one["spans"]["context"] == json({2, 4, 7}));
    CHECK(name(one["spans"]["name"][2]) == "write");
    const json& zero = all["cpus"][0];
    CHECK(zero["events"]["values"][0] == "18446744073709551615");
    CHECK(zero["events"]["values"][2] == std::uint64_t{1} << 53);
    CHECK(zero["losses"]["count"] == json::array({7}));
    CHECK(zero["losses"]["begin"] == json::array({90}));
    CHECK(zero["losses"]["end"] == json::array({490}));
    CHECK(all["kinds"][0]["fields"].dump() == R"([["irq",0],["name",1]])");
    CHECK(all["calls"]["parent"] == json({-1, 0, -1}));
    CHECK(all["calls"]["samples"] == json({1, 3, 1}));
}

TEST_CASE("bytes that are no text, and values that do not fit, do no harm") {
    view_data data;
    const auto kind = data.add_kind("x", {{"text", true}});
    data.add_event(0, 5, kind, {context::thread, 0}, {"\xff\xfe"});
    const json all = json::parse(data.json());
    CHECK(all["cpus"][0]["events"]["time"] == json::array({0}));
    CHECK_THROWS(data.add_event(0, 5, kind, {context::thread, 0}, {}));
    CHECK_THROWS(data.add_event(0, 5, kind, {context::thread, 0}, {std::int64_t{1}}));
}

TEST_CASE("the page has the trace, the style and the program in it, and names nothing outside") {
    view_data data;
    data.title = "made up";
    const std::string page = timeline_page(data);
    CHECK(page.find(data.json()) != std::string::npos);
    CHECK(page.find("class Timeline") < page.find("timeline = new Timeline"));
    for (const char* missing :
         {"/*STYLE*/", "/*TRACE*/", "/*PROGRAM*/", "http:", "https:", "src="}) {
        CHECK(page.find(missing) == std::string::npos);
    }
    CHECK(page.find("default-src 'none'") != std::string::npos);
}

} // namespace
} // namespace nmisafe::tool
