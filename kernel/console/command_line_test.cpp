// SPDX-License-Identifier: MIT
// The command line at its longest and one more, and the options in it.
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/panic/panic.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

struct panicked {
    std::string what;
    uintptr_t value;
};

std::string console;

template <typename Function>
std::string panic_of(Function function) {
    try {
        function();
    } catch (const panicked& caught) {
        return caught.what;
    }
    return "";
}

std::string found(const char* name) {
    const kernel::text value = kernel::option(name);
    return {value.begin(), value.end()};
}

/// Ends with an option whose value a cut would make another one.
std::string line_of(size_t size) {
    const std::string end = " toggles=20000";
    return std::string(size - end.size(), 'x') + end;
}

} // namespace

namespace kernel {

void panic(const char* what, const nmisafe::x86::trap_frame*, uintptr_t value) {
    throw panicked{what, value};
}
console_line::console_line() : flags_(0), locked_(true) {}
console_line::~console_line() = default;
void console_line::put(char character) {
    console += character;
}
void console_line::put(text string) {
    console.append(string.begin(), string.end());
}

} // namespace kernel

TEST_CASE("a line is taken whole or not at all") {
    constexpr size_t longest = kernel::longest_command_line;
    for (const size_t size : {size_t{511}, size_t{512}, size_t{513}, longest - 1, longest}) {
        CAPTURE(size);
        kernel::set_command_line(line_of(size).c_str());
        CHECK(kernel::option_number("toggles", 0) == 20000);
    }
    for (const size_t size : {longest + 1, 2 * longest}) {
        CAPTURE(size);
        CHECK(panic_of([&] { kernel::set_command_line(line_of(size).c_str()); }) ==
              "command line too long");
    }
    kernel::set_command_line(nullptr);
    CHECK(kernel::option("toggles").empty());
}

TEST_CASE("the first of two options counts, and an unknown one is refused by name") {
    kernel::set_command_line("/a/path=with/x policy=near  policy=far word");
    CHECK(found("policy") == "near");
    CHECK(found("stack").empty());
    CHECK(kernel::option_number("stack", 7) == 7);
    CHECK(panic_of([] { kernel::refuse_unknown_options(); }) == "");

    kernel::set_command_line("policy=near polici=far");
    CHECK(panic_of([] { kernel::refuse_unknown_options(); }) == "unknown option");
    CHECK(console == "no option of this kernel: polici=far\n");
}

TEST_CASE("a number is one that fits") {
    for (const char* const number : {"0", "1", "4294967295"}) {
        CAPTURE(number);
        kernel::set_command_line((std::string("stack=") + number).c_str());
        CHECK(std::to_string(kernel::option_number("stack", 7)) == number);
    }
    for (const char* const other :
         {"4294967296", "99999999999", "-1", "0x10", "1k", "4294967290000"}) {
        CAPTURE(other);
        kernel::set_command_line((std::string("stack=") + other).c_str());
        CHECK(panic_of([] { kernel::option_number("stack", 7); }) == "an option is no number");
    }
}
