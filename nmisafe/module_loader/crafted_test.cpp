// SPDX-License-Identifier: MIT
// Each error is reached, and each leaves nothing behind.
#include "nmisafe/module_loader/crafted_test.hpp"

#include <algorithm>
#include <ctime>
#include <limits>

namespace nmisafe::module_loader::crafted {

TEST_CASE_FIXTURE(fixture, "the object is good as it is") {
    const object_file good = good_object();
    const auto loaded = try_to_load(good);
    if (!loaded)
        FAIL(static_cast<int>(loaded.error()));
    CHECK(std::string(module.name()) == "crafted");
    const auto* const pointers = reinterpret_cast<const word*>(module.find_section(".data").begin);
    REQUIRE(pointers != nullptr);
    CHECK(pointers[0] == module.code().begin);
    constexpr size_t per_slot = 8 / sizeof(word);
    CHECK(module.data().holds(pointers[per_slot], 1));
    CHECK(pointers[per_slot] % 16 == 0);
    CHECK(pointers[2 * per_slot] == 0);
    const address_range zeros = module.find_section(".bss");
    CHECK(zeros.end - zeros.begin == 100);
    CHECK(zeros.begin % 64 == 0);
    CHECK(module.find_section(".debug_info").begin == 0);
    REQUIRE(start(module));
    CHECK(calls == 1);
    REQUIRE(unload(module));
}

void fixture::bad_calls() {
    using e = load_error;
    const object_file good = good_object();
    test::memory.allocations = 0;
    fake::cpu.nmi_in_progress = 1;
    expect_error(try_to_load(good), e::in_nmi);
    expect_error(start(module), e::in_nmi);
    expect_error(stop(module), e::in_nmi);
    expect_error(unload(module), e::in_nmi);
    fake::cpu.nmi_in_progress = 0;

    expect_error(start(module), e::wrong_state);
    expect_error(stop(module), e::wrong_state);
    expect_error(unload(module), e::wrong_state);
    test::memory.cannot_synchronise = true;
    expect_error(try_to_load(good), e::cannot_synchronise);
    test::memory.cannot_synchronise = false;
    CHECK(test::memory.allocations == 0);

    for (unsigned failing = 1; failing <= 4; ++failing) {
        test::memory.allocations = 0;
        test::memory.failing_allocation = failing;
        expect_error(try_to_load(good), e::no_memory);
        CHECK(module.latest_refusal().why == e::no_memory);
        CHECK(test::memory.mappings == 0);
    }
    test::memory.failing_allocation = 0;
    for (unsigned failing = 1; failing <= 2; ++failing) {
        test::memory.protections = 0;
        test::memory.failing_protection = failing;
        expect_error(try_to_load(good), e::not_protected);
        CHECK(test::memory.mappings == 0);
    }
    test::memory.failing_protection = 0;

    // Memory that cannot be given back is kept, and given back by unload().
    for (unsigned failing = 1; failing <= 4; ++failing) {
        test::memory.failing_releases = failing;
        expect_error(try_to_load(good), e::memory_kept);
        if (failing == 1) // the next try has succeeded
            CHECK(module.state() == module_state::empty);
        else
            CHECK(module.state() == module_state::kept);
        if (failing != 1) {
            expect_error(start(module), e::wrong_state);
            expect_error(try_to_load(good), e::wrong_state);
            CHECK(test::memory.mappings == failing - 1);
            REQUIRE(unload(module));
        }
        CHECK(test::memory.mappings == 0);
    }

    REQUIRE(try_to_load(good));
    expect_error(try_to_load(good), e::wrong_state);
    expect_error(stop(module), e::wrong_state);
    test::memory.cannot_synchronise = true;
    expect_error(start(module), e::cannot_synchronise);
    expect_error(unload(module), e::cannot_synchronise);
    test::memory.cannot_synchronise = false;
    REQUIRE(start(module));
    expect_error(start(module), e::wrong_state);
    test::memory.cannot_synchronise = true;
    expect_error(stop(module), e::cannot_synchronise);
    expect_error(unload(module), e::cannot_synchronise);
    test::memory.cannot_synchronise = false;
    CHECK(module.state() == module_state::live);
    test::memory.failing_releases = 2;
    expect_error(unload(module), e::memory_kept);
    CHECK(test::memory.mappings == 2);
    REQUIRE(unload(module));

    // A call within a call.
    static fixture* self;
    self = this;
    host nested = plain_host;
    nested.join = [](void*, loaded_module& which) {
        self->expect_error(start(which), e::busy);
        self->expect_error(stop(which), e::busy);
        self->expect_error(unload(which), e::busy);
        CHECK_FALSE(which.get());
        return false;
    };
    REQUIRE(load(module, good.bytes.data(), good.bytes.size(), test::near_areas, nested));
    expect_error(start(module), e::join_refused);

    object_file fails = good;
    fails.byte(text, 6) = 0;
    REQUIRE(try_to_load(fails));
    expect_error(start(module), e::init_failed);
}

TEST_CASE_FIXTURE(fixture, "each error is reached, and leaves nothing behind") {
    bad_files();
    bad_sections();
    bad_symbols();
    bad_relocations();
    bad_calls();
    for (int why = 1; why <= static_cast<int>(load_error::memory_kept); ++why) {
        CAPTURE(why);
        // On x86-32 addresses wrap around.
        if (sizeof(word) == 4 && why == static_cast<int>(load_error::relocation_overflow))
            continue;
        CHECK(reached.count(static_cast<load_error>(why)) == 1);
    }
}

TEST_CASE_FIXTURE(fixture, "each byte changed, in several ways: refused, or loaded and unloaded") {
    const object_file good = good_object();
    unsigned loads = 0;
    for (size_t at = 0; at < good.bytes.size(); ++at) {
        for (const unsigned change : {0x01u, 0x80u, 0xffu}) {
            object_file changed = good;
            changed.bytes[at] = static_cast<uint8_t>(changed.bytes[at] ^ change);
            if (try_to_load(changed)) {
                ++loads;
                REQUIRE(unload(module));
            }
            REQUIRE(test::memory.mappings == 0);
        }
    }
    // Contents, names and debug information may be anything.
    CHECK(loads > good.bytes.size());
    CHECK(loads < 2 * good.bytes.size());
}

namespace {

std::string names_of(object_file& of) {
    return {reinterpret_cast<const char*>(&of.byte(names, 0)), of.section(names).size};
}

/// At the end of the file.
void set_names(object_file& of, const std::string& to) {
    of.section(names).offset = static_cast<word>(of.bytes.size());
    of.section(names).size = static_cast<word>(to.size());
    of.bytes.insert(of.bytes.end(), to.begin(), to.end());
}

/// With so many sections more, of one byte of zeros each: every other one is called ".bss", and the
/// rest all have names of their own.
object_file object_with_sections(uint32_t more) {
    object_file many = good_object();
    std::vector<elf_native::section> added;
    std::string all_names = names_of(many);
    for (uint32_t i = 0; i < more; ++i) {
        elf_native::section one = many.section(bss);
        one.size = 1;
        one.alignment = 1;
        if (i % 2 != 0) {
            one.name = static_cast<uint32_t>(all_names.size());
            all_names += std::to_string(i) + '\0';
        }
        added.push_back(one);
    }
    set_names(many, all_names);
    add_sections(many, added);
    return many;
}

/// With so many empty sections more, all of one name that is as long as the file has more sections.
object_file object_with_empty_constructors(uint32_t more) {
    object_file many = good_object();
    elf_native::section one = many.section(data);
    one.size = 0;
    std::string all_names = names_of(many);
    one.name = static_cast<uint32_t>(all_names.size());
    all_names += ".ctors." + std::string(more, 'a') + '\0';
    set_names(many, all_names);
    add_sections(many, std::vector(more, one));
    return many;
}

} // namespace

TEST_CASE_FIXTURE(fixture, "the largest number of sections") {
    REQUIRE(try_to_load(object_with_sections(elf::first_reserved - 1 - count)));
    REQUIRE(unload(module));
    expect_error(try_to_load(object_with_sections(elf::first_reserved - count)),
                 load_error::too_many_sections);
}

TEST_CASE_FIXTURE(fixture, "four times the sections take no sixteen times the time") {
    // Of the best of five tries.
    const auto time_of = [this](const object_file& from, const auto& look_at) {
        std::clock_t best = std::numeric_limits<std::clock_t>::max();
        for (int i = 0; i < 5; ++i) {
            const std::clock_t begin = std::clock();
            const auto loaded = try_to_load(from);
            best = std::min(best, std::clock() - begin);
            look_at(loaded);
        }
        return best;
    };
    const auto time_to_load = [&](uint32_t more) {
        return time_of(object_with_sections(more), [&](const auto& loaded) {
            REQUIRE(loaded);
            const address_range range = module.find_section(".bss");
            CHECK(range.end - range.begin == 100 + more / 2);
            const address_range own = module.find_section(std::to_string(more - 1).c_str());
            CHECK(own.end - own.begin == 1);
            REQUIRE(unload(module));
        });
    };
    // What says one long name again and again cannot be loaded in that time.
    const auto time_to_refuse = [&](uint32_t more) {
        return time_of(object_with_empty_constructors(more),
                       [&](const auto& loaded) { expect_error(loaded, load_error::shared_bytes); });
    };
    const auto compare = [](const std::string& what, const auto& time) {
        static_assert(CLOCKS_PER_SEC == 1000000);
        const std::clock_t few = time(15000);
        const std::clock_t many = time(60000);
        MESSAGE("microseconds of CPU time to ", what, " 15,000 and 60,000 sections: ", few, ", ",
                many);
        CHECK(many < 10 * few);
    };
    compare("load", time_to_load);
    compare("refuse", time_to_refuse);
}

} // namespace nmisafe::module_loader::crafted
