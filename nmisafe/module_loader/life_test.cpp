// SPDX-License-Identifier: MIT
// The life of a module: who is called when, what is undone, and what keeps it.
#include "nmisafe/module_loader/objects_test.hpp"

#include <algorithm>

namespace nmisafe::module_loader::objects {

TEST_CASE_FIXTURE(fixture, "all three segments in one area, and two modules at once") {
    const areas one_area{&test::data_area, &test::data_area, &test::data_area};
    const image from = read("features.gcc.O2.o");
    loaded_module other;
    REQUIRE(load(other, from.data(), from.size(), one_area, with.functions));
    REQUIRE(start(other));
    ::program::calls = 0;
    load_and_start(from);
    check_features();
    const uintptr_t use_data = module_exports(other).find("use_data");
    CHECK(other.code().holds(use_data, 1));
    CHECK(reinterpret_cast<int (*)()>(use_data)() == 42); // each has its own data
    REQUIRE(unload(other));
    CHECK(call("use_data") == 44);
    unload_it();
}

TEST_CASE_FIXTURE(fixture, "a use keeps the module") {
    CHECK_FALSE(module.get());
    const image from = read("features.gcc.O2.o");
    REQUIRE(load(module, from.data(), from.size(), test::near_areas, with.functions));
    CHECK_FALSE(module.get());
    REQUIRE(start(module));
    REQUIRE(module.get());
    REQUIRE(module.get());
    CHECK(module.use_count() == 2);
    for (int held = 2; held > 0; --held) {
        for (const auto& result : {stop(module), unload(module)}) {
            REQUIRE_FALSE(result);
            CHECK(result.error() == load_error::in_use);
        }
        CHECK(module.state() == module_state::live);
        CHECK(with.calls == "join ");
        CHECK(call("use_constants") == 2);
        module.put();
    }
    REQUIRE(stop(module));
    CHECK(module.state() == module_state::stopped);
    CHECK_FALSE(module.get());
    CHECK(module.use_count() == 0);
    CHECK(with.calls == "join leave ");
    CHECK(call("use_constants") == 2); // still there
    unload_it();
    CHECK(with.calls == "join leave wait ");
}

TEST_CASE_FIXTURE(fixture, "a module that is only loaded has nothing undone") {
    for (const std::string& name : variants("features")) {
        const image from = read(name);
        REQUIRE(load(module, from.data(), from.size(), test::near_areas, with.functions));
        unload_it();
    }
    CHECK(with.calls.empty());
    CHECK(::program::calls == 0);
}

TEST_CASE_FIXTURE(fixture, "a start that fails undoes all") {
    const image from = read("features.clang.O0.o");
    const auto expect = [&](load_error why, const char* calls) {
        REQUIRE(load(module, from.data(), from.size(), test::near_areas, with.functions));
        with.calls.clear();
        const auto started = start(module);
        REQUIRE_FALSE(started);
        CHECK(started.error() == why);
        CHECK(with.calls == calls);
        CHECK(module.state() == module_state::empty);
        CHECK(test::memory.mappings == 0);
        CHECK_FALSE(module.get());
    };
    ::program::number = -1; // init fails
    expect(load_error::init_failed, "join leave wait ");
    CHECK(::program::calls == 1); // no exit
    with.joins = false;
    expect(load_error::join_refused, "join wait ");
    CHECK(::program::calls == 1); // no init either
}

TEST_CASE_FIXTURE(fixture, "whom the host cannot wait for keeps the module's memory") {
    const image from = read("features.gcc.O2.o");
    load_and_start(from);
    with.is_unused = false;
    for (const char* calls : {"join leave wait ", "wait ", "wait "}) {
        const auto gone = unload(module);
        REQUIRE_FALSE(gone);
        CHECK(gone.error() == load_error::in_use);
        CHECK(module.state() == module_state::stopped);
        CHECK(call("use_constants") == 2); // still there
        CHECK(with.calls == calls);
        with.calls.clear();
    }
    with.is_unused = true;
    unload_it();
    CHECK(with.calls == "wait ");

    with.is_unused = false;
    ::program::number = -1; // init fails
    REQUIRE(load(module, from.data(), from.size(), test::near_areas, with.functions));
    const auto started = start(module);
    REQUIRE_FALSE(started);
    CHECK(started.error() == load_error::init_failed);
    CHECK(module.state() == module_state::stopped);
    CHECK_FALSE(module.get());
    CHECK(unload(module).error() == load_error::in_use);
    with.is_unused = true;
    unload_it();
}

// What one module exports another may use: the host that hands it out holds a use, so what points
// into a module keeps it.
TEST_CASE_FIXTURE(fixture, "a module whose export another one uses stays") {
    const image from = read("features.gcc.O2.o");
    load_and_start(from);
    const uintptr_t lent = module_exports(module).find("use_data");
    REQUIRE(module.get());
    with.symbols["absent"] = lent;
    loaded_module user;
    REQUIRE(load(user, from.data(), from.size(), test::near_areas, with.functions));
    REQUIRE(start(user));
    CHECK(unload(module).error() == load_error::in_use);
    const uintptr_t uses_it = module_exports(user).find("use_absent");
    CHECK(reinterpret_cast<int (*)()>(uses_it)() == 42);
    REQUIRE(unload(user));
    module.put();
    unload_it();
}

TEST_CASE_FIXTURE(fixture, "every beginning of an object is refused, at every alignment") {
    const image whole = read("features.gcc.O2.o");
    for (size_t size = 0; size < whole.size(); ++size) {
        std::vector<uint8_t> part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
        REQUIRE_FALSE(load(module, part.data(), size, test::near_areas, with.functions));
        REQUIRE(test::memory.mappings == 0);
    }
    std::vector<uint8_t> shifted(whole.size() + 16);
    for (size_t shift = 0; shift < 16; ++shift) {
        std::copy(whole.begin(), whole.end(), shifted.begin() + static_cast<ptrdiff_t>(shift));
        REQUIRE(
            load(module, shifted.data() + shift, whole.size(), test::near_areas, with.functions));
        REQUIRE(start(module));
        CHECK(call("use_data") == 42);
        unload_it();
    }
}

} // namespace nmisafe::module_loader::objects
