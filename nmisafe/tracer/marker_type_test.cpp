// SPDX-License-Identifier: MIT
#include "nmisafe/tracer/internal/marker_type.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace nmisafe;
using nmisafe::tracer::internal::marker_type;

namespace {

/// "name: field kind base, ...", kinds and bases as numbers.
std::string described(const char* channel, const char* name, const char* format) {
    marker_type type;
    type.read(channel, name, format);
    std::string text = type.name();
    text += ":";
    for (size_t i = 0; i < type.field_count(); ++i) {
        const ctf::field& one = type.fields()[i];
        text += std::string(" ") + one.name + "/" + std::to_string(unsigned(one.type)) + "/" +
                std::to_string(unsigned(one.shown));
    }
    CHECK(ctf::event(1, type.name(), type.fields(), type.field_count()).is_good());
    return text;
}

std::string fields(const char* format) {
    return described("a", "b", format).substr(4);
}

} // namespace

TEST_CASE("fields are called as the format does, where it does") {
    CHECK(described("net", "packet", "len %u flags %x") == "net_packet: len/2/10 flags/2/16");
    CHECK(described("net", "lost", " ") == "net_lost:");
    CHECK(fields(" len=%u,flags: 0x%x") == " len/2/10 flags/2/16");
    CHECK(fields(" len:[%5.3llu]") == " len/3/10");
    CHECK(fields(" %d%i") == " arg0/6/10 arg1/6/10");
    CHECK(fields(" len %d %d") == " len/6/10 arg1/6/10");
    CHECK(fields(" a %d a %d") == " a/6/10 arg1/6/10");
    CHECK(fields(" arg1 %d %d") == " arg1/6/10 arg1_/6/10");
    CHECK(fields(" 100%% %d 3rd %d") == " arg0/6/10 arg1/6/10");
    CHECK(fields(" x_0x%x") == " x_0x/2/16");
    CHECK(fields(" 0x%x") == " arg0/2/16");
    CHECK(fields(" event %hho struct %hd int %hhd string %lld") ==
          " event/0/8 struct/5/10 int/4/10 string/7/10");
    CHECK(fields(" text %s letter %c") == " text/8/10 letter/0/10");
    CHECK(fields(" pointer %p") == (sizeof(void*) == 8 ? " pointer/3/16" : " pointer/2/16"));
    CHECK(fields(" %d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d").substr(90) ==
          " arg9/6/10 arg10/6/10 arg11/6/10 arg12/6/10 arg13/6/10 arg14/6/10 arg15/6/10");
}

TEST_CASE("names are identifiers, whatever a marker is called") {
    CHECK(described("net-2", "a.b", "%d") == "net_2_a_b: arg0/6/10");
    CHECK(described("2net", "a", " ") == "_net_a:");
    const std::string endless(200, 'x');
    CHECK(described(endless.c_str(), "a", " ") == endless.substr(0, 95) + ":");
    CHECK(fields((endless + " %d " + endless + " %u").c_str()) ==
          " " + endless.substr(0, 31) + "/6/10 arg1/2/10");
}

TEST_CASE("a type that was read before leaves nothing behind") {
    marker_type type;
    type.read("channel", "name", "first %d second %s");
    type.read("a", "b", "third %u");
    CHECK(std::string(type.name()) == "a_b");
    CHECK(type.field_count() == 1);
    CHECK(std::string(type.fields()[0].name) == "third");
    type.read("a", "b", " ");
    CHECK(type.field_count() == 0);
}
