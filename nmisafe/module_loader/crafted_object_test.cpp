// SPDX-License-Identifier: MIT
#include "nmisafe/module_loader/crafted_test.hpp"

#include <cstring>
#include <sys/mman.h>

namespace nmisafe::module_loader::crafted {

namespace {

std::vector<uint8_t> bytes_of(const std::string& text) {
    return {text.begin(), text.end()};
}

} // namespace

object_file good_object() {
    std::string string_bytes(1, '\0');
    const auto string = [&](const char* what) {
        const auto at = static_cast<uint32_t>(string_bytes.size());
        string_bytes += what;
        string_bytes += '\0';
        return at;
    };
    std::string name_bytes(1, '\0');
    struct part {
        const char* name;
        uint32_t type;
        uint32_t flags;
        std::vector<uint8_t> bytes;
        uint32_t alignment = 1;
        uint32_t link = 0;
        uint32_t info = 0;
        size_t entry_size = 0;
    };
    const auto table_of = [](const auto& entries) {
        const auto* const begin = reinterpret_cast<const uint8_t*>(entries);
        return std::vector<uint8_t>(begin, begin + sizeof entries);
    };

    elf_native::symbol all[symbol_count] = {};
    const auto set_symbol = [&](uint32_t index, const char* what, uint8_t binding, uint8_t type,
                                uint16_t in, word value, word size) {
        all[index].name = what == nullptr ? 0 : string(what);
        all[index].info = static_cast<uint8_t>(binding << 4 | type);
        all[index].section = in;
        all[index].value = value;
        all[index].size = size;
    };
    set_symbol(text_symbol, nullptr, elf::local, 3, text, 0, 0);
    set_symbol(debug_symbol, nullptr, elf::local, 3, debug, 0, 0);
    set_symbol(init, "nmisafe_module_init", elf::global, elf::function, text, 0, sizeof code);
    set_symbol(name, "nmisafe_module_name", elf::global, 1, rodata, 0, 8);
    set_symbol(outside, "outside", elf::global, 0, elf::undefined, 0, 0);
    set_symbol(weak_outside, "weak_outside", elf::weak, 0, elf::undefined, 0, 0);
    set_symbol(common, "common", elf::global, 1, elf::common, 16, 24);

    elf_native::relocation of_text[1];
    set_relocation(of_text[0], 1, outside, jump_type, -4);
    elf_native::relocation of_data[3];
    set_relocation(of_data[0], 0, text_symbol, absolute_type, 0);
    set_relocation(of_data[1], 8, common, absolute_type, 0);
    set_relocation(of_data[2], 16, weak_outside, absolute_type, 0);
    elf_native::relocation of_debug[1];
    set_relocation(of_debug[0], 0, outside, 99, 0);
    const elf_word members[] = {{elf::group_comdat}, {rodata}};

    constexpr uint32_t relocation_type = elf_native::relocation_section;
    const part parts[count] = {
        {"", elf::null, 0, {}, 0},
        {".text", elf::progbits, elf::alloc | elf::execinstr, {code, code + sizeof code}, 16},
        {".data", elf::progbits, elf::alloc | elf::write, std::vector<uint8_t>(24), 8},
        {".bss", elf::nobits, elf::alloc | elf::write, {}, 64},
        {".rodata", elf::progbits, elf::alloc | elf::group_member,
         bytes_of(std::string("crafted", 8))},
        {".rel.text", relocation_type, elf::info_link, table_of(of_text), 8, symbols, text,
         sizeof of_text[0]},
        {".rel.data", relocation_type, elf::info_link, table_of(of_data), 8, symbols, data,
         sizeof of_data[0]},
        {".group", elf::group, 0, table_of(members), 4, symbols, init, sizeof members[0]},
        {".symtab", elf::symtab, 0, table_of(all), 8, strings, init, sizeof all[0]},
        {".strtab", elf::strtab, 0, bytes_of(string_bytes)},
        {".shstrtab", elf::strtab, 0, {}},
        {".debug_info", elf::progbits, 0, std::vector<uint8_t>(16)},
        {".rel.debug_info", relocation_type, elf::info_link, table_of(of_debug), 8, symbols, debug,
         sizeof of_debug[0]},
    };

    object_file made;
    made.bytes.resize(sizeof(elf_native::header) + count * sizeof(elf_native::section));
    auto& header = made.header();
    std::memcpy(header.ident, elf::magic, sizeof elf::magic);
    header.ident[elf::ident_class] = elf_native::class_number;
    header.ident[elf::ident_data] = elf::little_endian;
    header.ident[elf::ident_version] = elf::current_version;
    header.type = elf::type_relocatable;
    header.machine = elf_native::machine;
    header.version = elf::current_version;
    header.section_headers = sizeof header;
    header.header_size = sizeof header;
    header.section_header_size = sizeof(elf_native::section);
    header.section_count = count;
    header.section_names = names;
    for (uint32_t i = 0; i < count; ++i) {
        const part& one = parts[i];
        auto bytes = one.bytes;
        const auto name_at = static_cast<uint32_t>(i == 0 ? 0 : name_bytes.size());
        if (i != 0)
            name_bytes += std::string(one.name) + '\0';
        made.section(i) = {};
        made.section(i).name = name_at;
        made.section(i).type = one.type;
        made.section(i).flags = one.flags;
        made.section(i).offset = static_cast<word>(made.bytes.size());
        made.section(i).size = static_cast<word>(i == bss ? 100 : bytes.size());
        made.section(i).link = one.link;
        made.section(i).info = one.info;
        made.section(i).alignment = one.alignment;
        made.section(i).entry_size = static_cast<word>(one.entry_size);
        made.bytes.insert(made.bytes.end(), bytes.begin(), bytes.end());
    }
    made.section(names).offset = static_cast<word>(made.bytes.size());
    made.section(names).size = static_cast<word>(name_bytes.size());
    made.bytes.insert(made.bytes.end(), name_bytes.begin(), name_bytes.end());
    return made;
}

void add_sections(object_file& to, const std::vector<elf_native::section>& more) {
    std::vector<elf_native::section> headers;
    for (uint32_t i = 0; i < to.header().section_count; ++i)
        headers.push_back(to.section(i));
    headers.insert(headers.end(), more.begin(), more.end());
    to.header().section_headers = static_cast<word>(to.bytes.size());
    to.header().section_count = static_cast<uint16_t>(headers.size());
    const auto* const begin = reinterpret_cast<const uint8_t*>(headers.data());
    to.bytes.insert(to.bytes.end(), begin, begin + headers.size() * sizeof headers[0]);
}

unsigned calls;

namespace {

void called_by_the_object() {
    ++calls;
}

uintptr_t find_outside(void*, const char* wanted) {
    return std::string(wanted) == "outside" ? reinterpret_cast<uintptr_t>(&called_by_the_object)
                                            : uintptr_t{0};
}

} // namespace

const host plain_host{.find_symbol = find_outside,
                      .wait_until_unused = [](void*, loaded_module&) { return true; },
                      .memory = &test::mapped_memory};

guarded_image::guarded_image(const std::vector<uint8_t>& from) : size_(from.size()) {
    room_ = (size_ + page_size - 1) / page_size * page_size;
    base_ = static_cast<uint8_t*>(mmap(nullptr, room_ + page_size, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (size_ != 0)
        std::memcpy(base_ + room_ - size_, from.data(), size_);
    if (room_ != 0)
        mprotect(base_, room_, PROT_READ);
    mprotect(base_ + room_, page_size, PROT_NONE);
}

guarded_image::~guarded_image() {
    munmap(base_, room_ + page_size);
}

} // namespace nmisafe::module_loader::crafted
