// SPDX-License-Identifier: MIT
// Objects that both compilers have made, loaded into this process and executed.
#include "nmisafe/module_loader/objects_test.hpp"

#include <fstream>
#include <iterator>

namespace program {

int number;
int calls;
// Noinline and unused here: only their entries in the table keep them in the program.
[[gnu::noinline]] int add(int a, int b) {
    return a + b;
}
[[gnu::noinline]] int add(int a, int b, int c) {
    return a + b + c;
}

} // namespace program

NMISAFE_EXPORT_SYMBOL(static_cast<int (&)(int, int)>(program::add));
NMISAFE_EXPORT_SYMBOL(static_cast<int (&)(int, int, int)>(program::add));
NMISAFE_EXPORT_SYMBOL(program::number);
NMISAFE_EXPORT_SYMBOL(program::calls);

namespace nmisafe::module_loader::objects {

image read(const std::string& name) {
    std::ifstream file(std::string(NMISAFE_TEST_OBJECTS) + "/" + name, std::ios::binary);
    REQUIRE_MESSAGE(file.good(), name);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> variants(const std::string& name) {
    std::vector<std::string> all;
    for (const char* const compiler : {"gcc", "clang"})
        for (const char* const level : {"O0", "O2"})
            all.push_back(name + "." + compiler + "." + level + ".o");
    return all;
}

void fixture::check_features() {
    CHECK(std::string(module.name()) == "features");
    CHECK(::program::calls == 1);

    CHECK(call("use_data") == 42);
    CHECK(call("use_data") == 43);
    const uintptr_t initialised = module_exports(module).find("initialised");
    CHECK(module.data().holds(initialised, 1));
    CHECK(*reinterpret_cast<int*>(initialised) == 43);
    for (unsigned i = 0; i < 1000; ++i)
        REQUIRE(function<int(unsigned)>("use_zero")(i) == 0);
    CHECK(function<int(unsigned)>("use_zero")(5) == 1);
    CHECK(function<int(unsigned)>("use_constants")(3) == 7);
    CHECK(std::string(function<const char*(unsigned)>("use_words")(1)) == "two");
    CHECK(function<bool()>("is_aligned")());

    CHECK(function<int(int)>("use_host")(10) == 23);
    CHECK(::program::number == 1);
    CHECK(call("use_absent") == 0);
    CHECK(call("use_present") == 1);
    CHECK(call("use_template") == 6);
    CHECK(call("use_template") == 8);
    CHECK(call("use_shared") == 1);
    CHECK(function<int(bool)>("use_virtual")(true) == 3);
    CHECK(function<int(bool)>("use_virtual")(false) == 0);
    const int answers[] = {3, 43, 5, 1, 6, 1, -1};
    for (int i = 0; i < 7; ++i)
        CHECK(function<int(int)>("use_switch")(i) == answers[i]);

    CHECK(std::string(test::permission_of(module.code().begin)) == "r-x");
    CHECK(std::string(test::permission_of(module.read_only().begin)) == "r--");
    CHECK(std::string(test::permission_of(module.data().begin)) == "rw-");
    CHECK(test::code_area.contains(module.code().begin));
    CHECK(test::read_only_area.contains(module.read_only().begin));
    CHECK(test::data_area.contains(module.data().begin));

    const address_range no_probe = module.find_section("test_no_probe");
    CHECK(no_probe.holds(reinterpret_cast<uintptr_t>(function<int()>("no_probe")), 1));
    CHECK(no_probe.begin >= module.code().begin);
    CHECK(no_probe.end <= module.code().end);
    CHECK_FALSE(no_probe.holds(reinterpret_cast<uintptr_t>(function<int()>("use_data")), 1));
    CHECK(call("no_probe") == 77);
    for (const char* const none : {"test_no_prob", "test_no_probe_", "", "no"})
        CHECK(module.find_section(none).begin == 0);
}

/// The table is one range, without a gap, and each entry leads to its function.
void fixture::check_sites(std::initializer_list<int> numbers) {
    const address_range sites = module.find_section("test_sites");
    REQUIRE(sites.end - sites.begin == 4 * numbers.size());
    for (uintptr_t at = sites.begin; at < sites.end; at += 4) {
        const auto address =
            at + static_cast<uintptr_t>(intptr_t{*reinterpret_cast<const int32_t*>(at)});
        CHECK(module.code().holds(address, 1));
    }
}

TEST_CASE_FIXTURE(fixture, "what the compilers produce works") {
    for (const std::string& name : variants("features")) {
        CAPTURE(name);
        ::program::calls = ::program::number = 0;
        load_and_start(read(name));
        CHECK(test::memory.mappings == 3);
        check_features();
        check_sites({1, 2, 3});
        CHECK(call("use_sites") == 6);
        with.calls.clear();
        unload_it();
        CHECK(::program::calls == 101);
        CHECK(with.calls == "leave wait ");
    }
}

TEST_CASE_FIXTURE(fixture, "objects that ld -r has joined work") {
    for (const std::string& name : variants("joined")) {
        CAPTURE(name);
        ::program::calls = ::program::number = 0;
        load_and_start(read(name));
        check_features();
        check_sites({1, 2, 3, 4});
        CHECK(call("second_use_sites") == 7);
        CHECK(call("second_use_data") == 44);
        CHECK(call("second_use_template") == 11); // one variable for both
        CHECK(call("use_template") == 15);
        unload_it();
    }
}

TEST_CASE_FIXTURE(fixture, "debug information and its relocations are no matter") {
    for (const std::string& name : variants("debug")) {
        CAPTURE(name);
        ::program::calls = ::program::number = 0;
        load_and_start(read(name));
        check_features();
        CHECK(module.find_section(".debug_info").begin == 0);
        unload_it();
    }
}

TEST_CASE_FIXTURE(fixture, "common symbols are zero and apart") {
    for (const std::string& name : variants("common")) {
        CAPTURE(name);
        load_and_start(read(name));
        unload_it();
    }
}

TEST_CASE_FIXTURE(fixture, "the host decides about weak symbols") {
    static int other_shared = 1234;
    for (const std::string& name : variants("features")) {
        CAPTURE(name);
        with.symbols["absent"] = reinterpret_cast<uintptr_t>(+[] { return 5; });
        with.replacements["present"] = reinterpret_cast<uintptr_t>(+[] { return 6; });
        with.replacements["_ZN8features6sharedE"] = reinterpret_cast<uintptr_t>(&other_shared);
        with.replacements["initialised"] = 1; // not weak: not asked for
        load_and_start(read(name));
        CHECK(call("use_absent") == 5);
        CHECK(call("use_present") == 6);
        CHECK(call("use_shared") == 1234);
        CHECK(call("use_data") == 42);
        unload_it();
    }
}

TEST_CASE_FIXTURE(fixture, "what is not done here is refused") {
    const auto expect = [this](const std::string& name, load_error why) {
        CAPTURE(name);
        const image from = read(name);
        const auto loaded =
            load(module, from.data(), from.size(), test::near_areas, with.functions);
        REQUIRE_FALSE(loaded);
        CHECK(loaded.error() == why);
        CHECK(module.latest_refusal().why == why);
        CHECK(module.state() == module_state::empty);
        CHECK(test::memory.mappings == 0);
    };
    for (const std::string& name : variants("other_width"))
        expect(name, load_error::wrong_machine);
    with.functions.find_symbol = [](void*, const char*) { return uintptr_t{0}; };
    for (const std::string& name : variants("features")) {
        expect(name, load_error::undefined_symbol);
        CHECK(module.latest_refusal().symbol != nullptr);
    }
}

#ifdef __x86_64__
TEST_CASE_FIXTURE(fixture, "a segment out of reach is refused") {
    const areas far[] = {{&test::far_area, &test::read_only_area, &test::data_area},
                         {&test::code_area, &test::far_area, &test::data_area},
                         {&test::code_area, &test::read_only_area, &test::far_area},
                         {&test::far_area, &test::far_area, &test::far_area}};
    for (const std::string& name : variants("features")) {
        for (const areas& where : far) {
            const image from = read(name);
            const auto loaded = load(module, from.data(), from.size(), where, with.functions);
            REQUIRE_FALSE(loaded);
            CHECK(loaded.error() == load_error::relocation_overflow);
            CHECK(test::memory.mappings == 0);
        }
    }
}
#endif
TEST_CASE("the program's exports are found by the names that linkers see") {
    const symbol_table all = program_exports();
    CHECK(all.end() - all.begin() == 4);
    CHECK(all.find("_ZN7program6numberE") == reinterpret_cast<uintptr_t>(&::program::number));
    const uintptr_t add = all.find("_ZN7program3addEii");
    REQUIRE(add != 0);
    CHECK(reinterpret_cast<int (*)(int, int)>(add)(3, 4) == 7);
    const uintptr_t add_three = all.find("_ZN7program3addEiii");
    REQUIRE(add_three != 0);
    CHECK(reinterpret_cast<int (*)(int, int, int)>(add_three)(3, 4, 5) == 12);
    for (const char* const none : {"", "_ZN7program3addE", "_ZN7program3addEiiii", "program::add"})
        CHECK(all.find(none) == 0);
}

} // namespace nmisafe::module_loader::objects
