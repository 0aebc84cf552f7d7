// SPDX-License-Identifier: MIT
// One thing wrong with the object at a time.
#include "nmisafe/module_loader/crafted_test.hpp"

#include <cstring>

namespace nmisafe::module_loader::crafted {

void fixture::bad_files() {
    using e = load_error;
    expect(e::truncated, "no byte", [](auto& o) { o.bytes.clear(); });
    expect(e::truncated, "header", [](auto& o) { o.bytes.resize(sizeof o.header() - 1); });
    expect(e::not_elf, "magic", [](auto& o) { o.header().ident[3] = 'f'; });
    expect(e::wrong_machine, "class", [](auto& o) { o.header().ident[4] ^= 3; });
    expect(e::wrong_machine, "byte order", [](auto& o) { o.header().ident[5] = 2; });
    expect(e::wrong_machine, "machine", [](auto& o) { o.header().machine = 183; });
    expect(e::bad_header, "version", [](auto& o) { o.header().version = 2; });
    expect(e::bad_header, "version", [](auto& o) { o.header().ident[6] = 0; });
    expect(e::bad_header, "ABI", [](auto& o) { o.header().ident[7] = 9; });
    expect(e::not_relocatable, "type", [](auto& o) { o.header().type = 3; });
    expect(e::bad_header, "header size", [](auto& o) { ++o.header().header_size; });
    expect(e::bad_header, "section size", [](auto& o) { --o.header().section_header_size; });
    expect(e::bad_header, "no section", [](auto& o) { o.header().section_count = 0; });
    // The module's name is in no section. With so many sections its index would be one's too, and
    // its value, which need not be an offset, would be one behind that section's end.
    for (const uint16_t reserved : {elf::absolute, elf::common}) {
        expect(e::too_many_sections, "reserved indices", [reserved](auto& o) {
            o.symbol(name).section = reserved;
            o.symbol(name).value = 64;
            elf_native::section read_only = o.section(rodata);
            read_only.type = elf::nobits;
            std::vector<elf_native::section> more(0xfff8 - count);
            more[reserved - count] = read_only;
            add_sections(o, more);
        });
    }
    expect(e::bad_header, "names", [](auto& o) { o.header().section_names = count; });
    // A file with more than the header can say.
    for (const word many : {word{0xff00}, word{70000}, ~word{0}})
        expect(e::too_many_sections, "in section 0", [many](auto& o) {
            o.header().section_count = 0;
            o.header().section_names = 0xffff;
            o.section(0).size = many;
        });
    for (const word few : {word{0}, word{0xfeff}})
        expect(e::bad_header, "in section 0, needlessly", [few](auto& o) {
            o.header().section_count = 0;
            o.section(0).size = few;
        });
    expect(e::bad_header, "no section headers", [](auto& o) {
        o.header().section_count = 0;
        o.header().section_headers = 0;
        o.section(0).size = 70000;
    });
    for (const uint8_t* const magic : {elf::bitcode_magic, elf::wrapped_bitcode_magic}) {
        expect(e::intermediate_code, "LLVM's", [&](auto& o) {
            std::memcpy(o.bytes.data(), magic, 4);
            o.bytes.resize(4);
        });
        expect(e::truncated, "a part of it", [&](auto& o) {
            std::memcpy(o.bytes.data(), magic, 4);
            o.bytes.resize(3);
        });
    }
    expect(e::truncated, "section headers", [](auto& o) { o.header().section_headers = ~word{0}; });
    expect(e::truncated, "section headers",
           [](auto& o) { o.header().section_headers = static_cast<word>(o.bytes.size() - 1); });
    expect(e::truncated, "a section", [](auto& o) { o.section(debug).offset = ~word{0} - 3; });
    expect(e::truncated, "a section", [](auto& o) { o.section(debug).size = ~word{0}; });
    expect(e::truncated, "its last byte", [](auto& o) {
        o.section(debug).size = static_cast<word>(o.bytes.size() - o.section(debug).offset + 1);
    });
    expect(e::truncated, "names", [](auto& o) { o.section(names).size = 1 << 30; });
}

void fixture::bad_sections() {
    using e = load_error;
    expect(e::bad_string_table, "type", [](auto& o) { o.section(names).type = elf::progbits; });
    expect(e::bad_string_table, "empty", [](auto& o) { o.section(names).size = 0; });
    expect(e::bad_string_table, "end", [](auto& o) { --o.section(names).size; });
    expect(e::bad_string_table, "of symbols", [](auto& o) { --o.section(strings).size; });
    expect(e::bad_name, "section",
           [](auto& o) { o.section(bss).name = static_cast<uint32_t>(o.section(names).size); });
    expect(e::bad_alignment, "3", [](auto& o) { o.section(debug).alignment = 3; });
    expect(e::bad_alignment, "2 GiB", [](auto& o) { o.section(data).alignment = word{1} << 31; });
    expect(e::bad_section, "null", [](auto& o) { o.section(0).type = elf::progbits; });
    expect(e::bad_section, "null", [](auto& o) { o.section(0).flags = elf::alloc; });
    expect(e::bad_section, "link", [](auto& o) {
        o.section(rodata).flags |= elf::link_order;
        o.section(rodata).link = count;
    });
    expect(e::unsupported_section, "type", [](auto& o) { o.section(data).type = 6; });
    expect(e::unsupported_section, "TLS", [](auto& o) { o.section(data).flags |= elf::tls; });
    CHECK(module.latest_refusal().section == data);
    expect(e::unsupported_section, "compressed", [](auto& o) { o.section(data).flags |= 0x800; });
    expect(e::write_and_execute, "text", [](auto& o) { o.section(text).flags |= elf::write; });
    bad_constructors();
    expect(e::mixed_section, "one name",
           [](auto& o) { o.section(rodata).name = o.section(text).name; });
    expect(e::shared_bytes, "contents", [](auto& o) {
        for (const uint32_t i : {data, rodata, debug}) {
            o.section(i).flags |= elf::alloc;
            o.section(i).offset = 0;
            o.section(i).size = static_cast<word>(o.bytes.size() / 2);
        }
    });
    expect(e::too_large, "zeros", [](auto& o) { o.section(bss).size = (1 << 30) + 1; });
    expect(e::too_large, "zeros", [](auto& o) { o.section(bss).size = ~word{0}; });
    expect(e::too_large, "common", [](auto& o) { o.symbol(common).size = ~word{0}; });
    expect(e::bad_group, "flags", [](auto& o) { o.word_of_group(0).value = 2; });
    expect(e::bad_group, "member", [](auto& o) { o.word_of_group(1).value = count; });
    expect(e::bad_group, "null", [](auto& o) { o.word_of_group(1).value = 0; });
    expect(e::bad_group, "no member", [](auto& o) { o.word_of_group(1).value = text; });
    expect(e::bad_group, "size", [](auto& o) { o.section(group).size = 6; });
    expect(e::bad_group, "empty", [](auto& o) { o.section(group).size = 0; });
    expect(e::bad_group, "link", [](auto& o) { o.section(group).link = strings; });
    expect(e::bad_group, "signature", [](auto& o) { o.section(group).info = symbol_count; });
}

void fixture::bad_symbols() {
    using e = load_error;
    expect(e::bad_symbol_table, "two", [](auto& o) { o.section(debug).type = elf::symtab; });
    expect(e::bad_symbol_table, "size", [](auto& o) { --o.section(symbols).size; });
    expect(e::bad_symbol_table, "entries", [](auto& o) { ++o.section(symbols).entry_size; });
    expect(e::bad_symbol_table, "link", [](auto& o) { o.section(symbols).link = count; });
    expect(e::bad_symbol_table, "info",
           [](auto& o) { o.section(symbols).info = symbol_count + 1; });
    expect(e::bad_name, "symbol", [](auto& o) {
        o.symbol(outside).name = static_cast<uint32_t>(o.section(strings).size);
    });
    expect(e::bad_symbol, "section", [](auto& o) { o.symbol(init).section = count; });
    expect(e::bad_symbol, "reserved", [](auto& o) { o.symbol(init).section = 0xffff; });
    expect(e::bad_symbol, "value", [](auto& o) { o.symbol(init).value = sizeof code + 1; });
    expect(e::bad_symbol, "binding", [](auto& o) { o.symbol(init).info = 0x32; });
    expect(e::bad_symbol, "local", [](auto& o) { o.symbol(init).info = elf::function; });
    expect(e::bad_symbol, "global", [](auto& o) { o.symbol(text_symbol).info = 0x13; });
    expect(e::bad_symbol, "not in memory", [](auto& o) {
        set_relocation(o.relocation(data_relocations, 0), 0, debug_symbol, absolute_type, 0);
    });
    expect(e::bad_alignment, "common", [](auto& o) { o.symbol(common).value = 0; });
    expect(e::bad_alignment, "common", [](auto& o) { o.symbol(common).value = 3; });
    expect(e::bad_alignment, "common", [](auto& o) { o.symbol(common).value = word{1} << 31; });
    for (const uint8_t info :
         {uint8_t{0x16}, uint8_t{0x1a}}) { // thread-local, an indirect function
        expect(e::unsupported_symbol, "type", [=](auto& o) {
            o.section(data).flags |= elf::tls;
            o.symbol(name).info = info;
        });
        CHECK(module.latest_refusal().entry == name);
        CHECK(module.latest_refusal().symbol != nullptr);
    }
    expect(e::intermediate_code, "GCC's", [](auto& o) {
        const char slim[] = "__gnu_lto_slim";
        o.symbol(common).name = o.symbol(init).name;
        std::memcpy(&o.byte(strings, o.symbol(init).name), slim, sizeof slim);
    });
    expect(e::bad_entry_point, "in data", [](auto& o) { o.symbol(init).section = rodata; });
    expect(e::bad_entry_point, "in debug", [](auto& o) { o.symbol(init).section = debug; });
    expect(e::bad_entry_point, "behind", [](auto& o) { o.symbol(init).value = sizeof code; });
    expect(e::bad_entry_point, "an object", [](auto& o) { o.symbol(init).info = 0x11; });
    expect(e::bad_module_name, "in text", [](auto& o) { o.symbol(name).section = text; });
    expect(e::bad_module_name, "end", [](auto& o) { o.byte(rodata, 7) = 'x'; });
    expect(e::bad_module_name, "empty", [](auto& o) { o.symbol(name).value = 8; });
    expect(e::bad_module_name, "changed by a relocation", [](auto& o) {
        o.section(data_relocations).info = rodata;
        o.section(data_relocations).size = sizeof(elf_native::relocation);
        set_relocation(o.relocation(data_relocations, 0), 8 - sizeof(word), 0, absolute_type, -1);
        if constexpr (sizeof(word) == 4)
            std::memset(&o.byte(rodata, 4), 0xff, 4);
    });
    expect(e::undefined_symbol, "outside",
           [](auto& o) { o.byte(strings, o.symbol(outside).name) = 'O'; });
    // One name of a third of the image, for all symbols.
    expect(e::shared_bytes, "names of symbols", [](auto& o) {
        const size_t before = o.bytes.size();
        o.section(strings).offset = static_cast<word>(before);
        o.section(strings).size = static_cast<word>(before);
        o.bytes.resize(2 * before, 'a');
        o.bytes.back() = 0;
        for (uint32_t i = init; i < symbol_count; ++i) {
            o.symbol(i).section = elf::undefined;
            o.symbol(i).info = 0x20;
            o.symbol(i).name = 0;
        }
        for (uint32_t i = 0; i < 3; ++i)
            set_relocation(o.relocation(data_relocations, i), 0, init + i, absolute_type, 0);
    });
    // And for all sections.
    expect(e::shared_bytes, "names of sections", [](auto& o) {
        const size_t before = o.bytes.size();
        o.section(names).offset = static_cast<word>(before);
        o.section(names).size = static_cast<word>(before);
        o.bytes.resize(2 * before, 'a');
        o.bytes.back() = 0;
        for (uint32_t i = 1; i < count; ++i)
            o.section(i).name = 0;
    });
}

void fixture::bad_relocations() {
    using e = load_error;
    constexpr uint32_t other = elf_native::relocation_section == elf::rela ? elf::rel : elf::rela;
    expect(e::bad_relocation_table, "kind",
           [](auto& o) { o.section(text_relocations).type = other; });
    expect(e::bad_relocation_table, "size", [](auto& o) { --o.section(text_relocations).size; });
    expect(e::bad_relocation_table, "entries",
           [](auto& o) { ++o.section(text_relocations).entry_size; });
    expect(e::bad_relocation_table, "target",
           [](auto& o) { o.section(text_relocations).info = count; });
    expect(e::bad_relocation_table, "link",
           [](auto& o) { o.section(text_relocations).link = strings; });
    expect(e::bad_relocation_table, "zeros",
           [](auto& o) { o.section(text_relocations).info = bss; });
    expect(e::bad_relocation_table, "no symbols", [](auto& o) {
        o.section(symbols).type = elf::null;
        o.section(group).type = elf::null;
    });
    const auto text_relocation = [](word offset, uint32_t symbol, uint32_t type) {
        return [=](object_file& o) {
            set_relocation(o.relocation(text_relocations, 0), offset, symbol, type, 0);
        };
    };
    expect(e::bad_relocation, "symbol", text_relocation(0, symbol_count, jump_type));
    expect(e::bad_relocation, "place", text_relocation(sizeof code - 3, init, jump_type));
    expect(e::bad_relocation, "place", text_relocation(~word{0}, init, jump_type));
    expect(e::bad_relocation, "place", text_relocation(~word{0} - 3, init, jump_type));
    expect(e::unsupported_relocation, "type", text_relocation(0, init, 99));
    CHECK(module.latest_refusal().relocation_type == 99);
    CHECK(module.latest_refusal().section == text_relocations);
#ifdef __x86_64__
    expect(e::relocation_overflow, "PC32",
           [](auto& o) { o.relocation(text_relocations, 0).addend_bits = uint64_t{3} << 30; });
    const auto overflow = [&](uint32_t type, uint64_t addend, bool fits) {
        object_file changed = good_object();
        set_relocation(changed.relocation(text_relocations, 0), 0, 0, type, 0);
        changed.relocation(text_relocations, 0).addend_bits = addend;
        if (!fits)
            return expect_error(try_to_load(changed), e::relocation_overflow);
        REQUIRE(try_to_load(changed));
        uint32_t written = 0;
        std::memcpy(&written, reinterpret_cast<const void*>(module.code().begin), sizeof written);
        CHECK(written == static_cast<uint32_t>(addend));
        REQUIRE(unload(module));
    };
    constexpr uint32_t type_32 = 10;
    constexpr uint32_t type_32s = 11;
    overflow(type_32, 0xffffffff, true);
    overflow(type_32, 0x100000000, false);
    overflow(type_32, ~uint64_t{0}, false);
    overflow(type_32s, 0x7fffffff, true);
    overflow(type_32s, 0x80000000, false);
    overflow(type_32s, 0xffffffff80000000, true);
    overflow(type_32s, 0xffffffff7fffffff, false);
#endif
}

} // namespace nmisafe::module_loader::crafted
