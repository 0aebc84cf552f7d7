// SPDX-License-Identifier: MIT
// Each limit at one less, equal and one more.
#include "nmisafe/module_loader/crafted_test.hpp"

#include <cstring>

namespace nmisafe::module_loader::crafted {

namespace {

/// Gives the module a name of so many characters, at the end of the file, and the section as many
/// bytes more behind its end.
void set_module_name(object_file& of, size_t length, size_t behind = 0) {
    of.section(rodata).offset = static_cast<word>(of.bytes.size());
    of.section(rodata).size = static_cast<word>(length + 1 + behind);
    of.bytes.insert(of.bytes.end(), length, 'n');
    of.bytes.push_back(0);
    of.bytes.insert(of.bytes.end(), behind, 'b');
}

constexpr word gib = word{1} << 30;

/// So many sections of zeros more, of one size, beside one of `rest` bytes.
object_file with_zeros(uint32_t flags, size_t sections, word each, word rest) {
    object_file made = good_object();
    elf_native::section one = made.section(bss);
    one.flags = flags;
    one.alignment = 1;
    one.size = each;
    std::vector<elf_native::section> more(sections, one);
    for (const uint32_t other : {bss}) {
        made.section(other).size = 0;
        made.section(other).alignment = 1;
    }
    one.size = rest;
    more.push_back(one);
    add_sections(made, more);
    return made;
}

} // namespace

TEST_CASE_FIXTURE(fixture, "a name of 63 characters, and of 64") {
    for (const size_t behind : {size_t{0}, size_t{5}}) {
        for (const size_t length : {size_t{0}, size_t{1}, size_t{62}, size_t{63}}) {
            CAPTURE(length);
            object_file named = good_object();
            set_module_name(named, length, behind);
            REQUIRE(try_to_load(named));
            CHECK(std::string(module.name()) == std::string(length, 'n'));
            REQUIRE(unload(module));
        }
        for (const size_t length : {size_t{64}, size_t{65}}) {
            CAPTURE(length);
            object_file named = good_object();
            set_module_name(named, length, behind);
            expect_error(try_to_load(named), load_error::bad_module_name);
        }
    }
}

// The data segment has, beside the zeros, 24 bytes of .data and 24 of a common symbol.
TEST_CASE_FIXTURE(fixture, "a segment of 1 GiB, and of one byte more") {
    // What fits is asked for, and the area has not that much.
    test::memory.refuses_more_than = gib / 2;
    const struct {
        uint32_t flags;
        bool has_commons;
    } kinds[] = {
        {elf::alloc | elf::write, true}, {elf::alloc, false}, {elf::alloc | elf::execinstr, false}};
    for (const auto& kind : kinds) {
        CAPTURE(kind.flags);
        const auto load_zeros = [&](size_t sections, word each, word rest) {
            object_file made = with_zeros(kind.flags, sections, each, rest);
            for (uint32_t i = count; i < made.header().section_count; ++i)
                made.section(i).name = made.section(i).name + 1; // a name of their own: "bss"
            return try_to_load(made);
        };
        // Far below what the others need.
        expect_error(load_zeros(1, gib / 2, 4096), load_error::no_memory);
        expect_error(load_zeros(1, gib, 1), load_error::too_large);
        expect_error(load_zeros(2, gib / 2, 1), load_error::too_large);
        // Each for itself is small enough; together they come to little more than nothing, where
        // sums have 32 bits.
        expect_error(load_zeros(4, gib, 64), load_error::too_large);
        expect_error(load_zeros(8, gib / 2, 64), load_error::too_large);
        expect_error(load_zeros(1, gib + 1, 0), load_error::too_large);
        expect_error(load_zeros(1, ~word{0}, 64), load_error::too_large);
    }
    // To the byte: .data, padding, and the common symbol at a multiple of 16.
    const auto with_common = [&](word size) {
        object_file made = good_object();
        made.section(bss).size = 0;
        made.section(bss).alignment = 1;
        made.symbol(common).size = size;
        return try_to_load(made);
    };
    expect_error(with_common(gib - 32 - 1), load_error::no_memory);
    expect_error(with_common(gib - 32), load_error::no_memory);
    expect_error(with_common(gib - 32 + 1), load_error::too_large);
    expect_error(with_common(0 - word{32}), load_error::too_large);
}

TEST_CASE_FIXTURE(fixture, "an alignment of a page, and of more") {
    for (const word alignment :
         {word{0}, word{1}, word{2048}, word{4096}, word{8192}, word{1} << 20}) {
        CAPTURE(alignment);
        for (const uint32_t which : {data, bss, rodata, text}) {
            object_file aligned = good_object();
            aligned.section(which).alignment = alignment;
            REQUIRE(try_to_load(aligned));
            for (const char* const name : {".text", ".data", ".bss", ".rodata"}) {
                const address_range range = module.find_section(name);
                if (std::string(name) == std::string(reinterpret_cast<const char*>(
                                             &aligned.byte(names, aligned.section(which).name))))
                    CHECK(range.begin % (alignment == 0 ? 1 : alignment) == 0);
                CHECK((module.code().holds(range.begin, range.end - range.begin) ||
                       module.data().holds(range.begin, range.end - range.begin) ||
                       module.read_only().holds(range.begin, range.end - range.begin)));
            }
            REQUIRE(start(module));
            CHECK(calls == 1);
            calls = 0;
            REQUIRE(unload(module));
        }
        object_file aligned = good_object();
        aligned.symbol(common).value = alignment == 0 ? 1 : alignment;
        REQUIRE(try_to_load(aligned));
        REQUIRE(unload(module));
    }
    object_file much = good_object();
    test::memory.refuses_more_than = gib / 2;
    much.section(data).alignment = gib;
    expect_error(try_to_load(much), load_error::no_memory);
    much.section(data).alignment = 2 * gib;
    expect_error(try_to_load(much), load_error::bad_alignment);
}

TEST_CASE_FIXTURE(fixture, "a relocation at the very end, and a byte behind") {
    for (const uint32_t table : {text_relocations, data_relocations}) {
        const uint32_t target = table == text_relocations ? text : data;
        object_file made = good_object();
        const word last = made.section(target).size - sizeof(word);
        made.section(table).size = sizeof(elf_native::relocation);
        for (const word offset : {word{0}, last - 1, last}) {
            set_relocation(made.relocation(table, 0), offset, text_symbol, absolute_type, 0);
            REQUIRE(try_to_load(made));
            REQUIRE(unload(module));
        }
        for (const word offset : {last + 1, made.section(target).size}) {
            set_relocation(made.relocation(table, 0), offset, text_symbol, absolute_type, 0);
            expect_error(try_to_load(made), load_error::bad_relocation);
        }
    }
}

TEST_CASE_FIXTURE(fixture, "a slot for each symbol, however often it is named") {
    constexpr uint32_t slot_from_table = sizeof(word) == 8 ? 27 : 3; // R_X86_64_GOT64, R_386_GOT32
    object_file made = good_object();
    const auto slots_of = [&](uint32_t first, uint32_t second, uint32_t third) {
        const uint32_t of[] = {first, second, third};
        for (uint32_t i = 0; i < 3; ++i)
            set_relocation(made.relocation(data_relocations, i), 8 * i, of[i], slot_from_table, 0);
        REQUIRE(try_to_load(made));
        const auto* const words = reinterpret_cast<const word*>(module.find_section(".data").begin);
        std::vector<size_t> numbers;
        for (uint32_t i = 0; i < 3; ++i)
            numbers.push_back(words[i * 8 / sizeof(word)] / sizeof(word));
        REQUIRE(unload(module));
        return numbers;
    };
    using numbers = std::vector<size_t>;
    CHECK(slots_of(common, common, common) == numbers{0, 0, 0});
    CHECK(slots_of(common, text_symbol, common) == numbers{0, 1, 0});
    CHECK(slots_of(outside, weak_outside, symbol_count - 1) == numbers{0, 1, 2});
    CHECK(slots_of(0, init, 0) == numbers{0, 1, 0}); // no symbol has one, too
}

TEST_CASE_FIXTURE(fixture, "the last symbol, section and byte, and one more") {
    const auto loads = [&](const std::function<void(object_file&)>& change) {
        object_file made = good_object();
        change(made);
        REQUIRE(try_to_load(made));
        REQUIRE(unload(module));
    };
    loads([](auto& o) {
        set_relocation(o.relocation(data_relocations, 0), 0, symbol_count - 1, absolute_type, 0);
    });
    loads([](auto& o) { o.section(symbols).info = init; });
    loads([](auto& o) { o.symbol(text_symbol).value = sizeof code; }); // an end is no byte too many
    loads([](auto& o) { o.symbol(init).value = sizeof code - 1; });
    loads([](auto& o) {
        // To the last byte of the image.
        o.section(debug).size = static_cast<word>(o.bytes.size()) - o.section(debug).offset;
    });
    loads([](auto& o) { o.section(group).info = symbol_count - 1; });
    loads([](auto& o) {
        o.section(rodata).flags |= elf::link_order;
        o.section(rodata).link = count - 1;
    });
    loads([](auto& o) { // the empty string at the very end
        o.symbol(outside).name = static_cast<uint32_t>(o.section(strings).size) - 1;
        o.symbol(outside).info = elf::weak << 4;
    });
}

TEST_CASE_FIXTURE(fixture, "objects with nothing") {
    object_file made = good_object();
    for (uint32_t i = 1; i < count; ++i)
        if (i != names)
            made.section(i) = {};
    REQUIRE(try_to_load(made));
    CHECK(module.code().begin == module.code().end);
    CHECK(module.find_section(".text").begin == 0);
    CHECK(std::string(module.name()).empty());
    REQUIRE(start(module));
    REQUIRE(module.get());
    module.put();
    REQUIRE(stop(module));
    REQUIRE(unload(module));
    made.header().section_count = names + 1; // the last one there is
    REQUIRE(try_to_load(made));
    REQUIRE(unload(module));
    made.header().section_count = names;
    expect_error(try_to_load(made), load_error::bad_header);
}

} // namespace nmisafe::module_loader::crafted
