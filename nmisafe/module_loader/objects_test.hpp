// SPDX-License-Identifier: MIT
/// Objects that the compilers have made, and a host that loads them into this process.
#pragma once

#include "nmisafe/module_loader/exports.hpp"
#include "nmisafe/module_loader/memory_test.hpp"
#include "nmisafe/module_loader/module_loader.hpp"
#include "nmisafe/module_loader/test_objects/features.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"

#include <doctest/doctest.h>
#include <map>
#include <string>
#include <vector>

namespace nmisafe::module_loader::objects {

using fake = nmisafe_platform;
using image = std::vector<uint8_t>;

/// One of the test's objects.
image read(const std::string& name);

/// Each object is there four times: NAME.<compiler>.O<level>.o
std::vector<std::string> variants(const std::string& name);

/// Records what is called, and lends what is in `symbols`.
struct test_host {
    std::string calls;
    std::map<std::string, uintptr_t> symbols;
    std::map<std::string, uintptr_t> replacements;
    bool joins = true;
    bool is_unused = true;

    host functions{
        .context = this,
        .find_symbol =
            [](void* self, const char* name) {
                const auto& all = static_cast<test_host*>(self)->symbols;
                const auto found = all.find(name);
                return found != all.end() ? found->second : program_exports().find(name);
            },
        .find_replacement =
            [](void* self, const char* name) {
                const auto& all = static_cast<test_host*>(self)->replacements;
                const auto found = all.find(name);
                return found != all.end() ? found->second : uintptr_t{0};
            },
        .join =
            [](void* self, loaded_module&) {
                static_cast<test_host*>(self)->calls += "join ";
                return static_cast<test_host*>(self)->joins;
            },
        .leave = [](void* self,
                    loaded_module&) { static_cast<test_host*>(self)->calls += "leave "; },
        .wait_until_unused =
            [](void* self, loaded_module&) {
                static_cast<test_host*>(self)->calls += "wait ";
                return static_cast<test_host*>(self)->is_unused;
            },
        .memory = &test::mapped_memory,
    };
};

struct fixture {
    fixture() {
        fake::reset();
        test::memory = {};
        ::program::number = 0;
        ::program::calls = 0;
    }
    ~fixture() {
        CHECK(test::memory.mappings == 0);
        CHECK(test::memory.bytes == 0);
    }

    test_host with;
    loaded_module module;

    template <typename F>
    F* function(const char* name) {
        const uintptr_t address = module_exports(module).find(name);
        REQUIRE_MESSAGE(address != 0, name);
        CHECK(module.code().holds(address, 1));
        return reinterpret_cast<F*>(address);
    }
    int call(const char* name) { return function<int()>(name)(); }

    void load_and_start(const image& from) {
        const auto loaded =
            load(module, from.data(), from.size(), test::near_areas, with.functions);
        if (!loaded)
            FAIL("load: " << int(loaded.error()) << " section " << module.latest_refusal().section
                          << " entry " << module.latest_refusal().entry << " type "
                          << module.latest_refusal().relocation_type);
        CHECK(module.state() == module_state::loaded);
        const auto started = start(module);
        REQUIRE(started);
        CHECK(*started == *loaded);
        CHECK(module.state() == module_state::live);
    }
    void unload_it() {
        const auto gone = unload(module);
        REQUIRE(gone);
        CHECK(module.state() == module_state::empty);
        CHECK(std::string(module.name()).empty()); // it was in what has gone
    }
    void check_features();
    void check_sites(std::initializer_list<int> numbers);
};

} // namespace nmisafe::module_loader::objects
