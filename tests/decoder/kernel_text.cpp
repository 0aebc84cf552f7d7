// SPDX-License-Identifier: MIT
#include "tests/decoder/kernel_text.hpp"

#include <cstdio>
#include <cstring>
#include <elf.h>
#include <fstream>
#include <iterator>
#include <map>
#include <string_view>

namespace decoder_test {

using nmisafe::x86::width;

namespace {

struct elf_32 {
    using header = Elf32_Ehdr;
    using section = Elf32_Shdr;
    using symbol = Elf32_Sym;
};
struct elf_64 {
    using header = Elf64_Ehdr;
    using section = Elf64_Shdr;
    using symbol = Elf64_Sym;
};

/// The file was made by this build, so it is read without distrust; at() throws on what is beyond
/// it.
class file {
  public:
    explicit file(const char* path) {
        std::ifstream stream(path, std::ios::binary);
        bytes_.assign(std::istreambuf_iterator<char>(stream), {});
    }

    bool is_elf() const {
        return bytes_.size() > EI_CLASS && memcmp(bytes_.data(), ELFMAG, SELFMAG) == 0;
    }
    bool is_64() const { return bytes_.at(EI_CLASS) == ELFCLASS64; }
    std::vector<uint8_t> part(size_t offset, size_t size) const {
        if (offset + size > bytes_.size())
            return {};
        const auto begin = bytes_.begin() + static_cast<std::ptrdiff_t>(offset);
        return {begin, begin + static_cast<std::ptrdiff_t>(size)};
    }
    template <typename T>
    T read(size_t offset) const {
        T value;
        (void)bytes_.at(offset + sizeof value - 1);
        memcpy(&value, bytes_.data() + offset, sizeof value);
        return value;
    }
    std::string text(size_t offset) const { return &bytes_.at(offset); }

  private:
    std::vector<char> bytes_;
};

/// The linker script's.
bool is_boundary(std::string_view name) {
    return name.ends_with("_begin") || name.ends_with("_end");
}

template <typename Elf>
std::optional<kernel_text> read(const file& elf, width mode) {
    const auto header = elf.read<typename Elf::header>(0);
    const auto section_at = [&](size_t index) {
        return elf.read<typename Elf::section>(header.e_shoff + index * header.e_shentsize);
    };
    const auto names = section_at(header.e_shstrndx);
    size_t text_index = 0;
    typename Elf::section text{};
    typename Elf::section symbols{};
    for (size_t i = 0; i < header.e_shnum; ++i) {
        const auto section = section_at(i);
        if (section.sh_type == SHT_SYMTAB)
            symbols = section;
        if ((section.sh_flags & SHF_EXECINSTR) == 0)
            continue;
        if (text_index != 0 || elf.text(names.sh_offset + section.sh_name) != ".text") {
            fprintf(stderr, "there is an executable section besides .text\n");
            return std::nullopt;
        }
        text_index = i;
        text = section;
    }

    std::map<uint64_t, std::string> starts;
    std::optional<uint64_t> first;
    const auto strings = section_at(symbols.sh_link);
    for (uint64_t offset = 0; offset < symbols.sh_size; offset += sizeof(typename Elf::symbol)) {
        const auto symbol = elf.read<typename Elf::symbol>(symbols.sh_offset + offset);
        if (symbol.st_shndx != text_index)
            continue;
        const std::string name = elf.text(strings.sh_offset + symbol.st_name);
        if (name == "kernel_text_begin")
            first = symbol.st_value;
        else if (is_boundary(name))
            starts.emplace(symbol.st_value, name); // what begins there has a name of its own
        else if (!name.empty())
            starts[symbol.st_value] = name;
    }
    if (text_index == 0 || !first.has_value()) {
        fprintf(stderr, "there is no .text, or no kernel_text_begin in it\n");
        return std::nullopt;
    }

    kernel_text result{mode, elf.part(text.sh_offset, text.sh_size), {}};
    for (auto start = starts.lower_bound(*first); start != starts.end(); ++start) {
        const auto next = std::next(start);
        const uint64_t end = next == starts.end() ? text.sh_addr + text.sh_size : next->first;
        result.routines.push_back({start->second, start->first - text.sh_addr, end - text.sh_addr});
    }
    return result;
}

} // namespace

std::optional<kernel_text> read_kernel_text(const char* path) {
    const file elf(path);
    if (!elf.is_elf()) {
        fprintf(stderr, "%s is no ELF file\n", path);
        return std::nullopt;
    }
    return elf.is_64() ? read<elf_64>(elf, width::bits_64) : read<elf_32>(elf, width::bits_32);
}

} // namespace decoder_test
