// SPDX-License-Identifier: MIT
#include "tool/torture/names.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <gelf.h>
#include <iterator>
#include <unistd.h>

namespace nmisafe::tool::torture {

namespace {

constexpr std::uint64_t farthest = 1 << 20; // of an address from the name before it

} // namespace

std::string names::read(const std::filesystem::path& file) {
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return fmt::format("{}: {}", file.string(), std::strerror(errno));
    }
    char magic[4] = {};
    const bool is_elf = ::pread(descriptor, magic, sizeof magic, 0) == sizeof magic &&
                        std::memcmp(magic, "\177ELF", sizeof magic) == 0;
    std::string why;
    if (is_elf) {
        why = read_elf(descriptor);
    } else {
        std::ifstream text(file);
        read_map(std::string(std::istreambuf_iterator<char>(text), {}));
        why = is_empty() ? "neither an ELF file nor lines of \"address type name\"" : "";
    }
    ::close(descriptor);
    return why.empty() ? why : fmt::format("{}: {}", file.string(), why);
}

std::string names::read_elf(int descriptor) {
    ::elf_version(EV_CURRENT);
    Elf* const elf = ::elf_begin(descriptor, ELF_C_READ, nullptr);
    if (elf == nullptr) {
        return ::elf_errmsg(-1);
    }
    for (Elf_Scn* section = nullptr; (section = ::elf_nextscn(elf, section)) != nullptr;) {
        GElf_Shdr header;
        if (::gelf_getshdr(section, &header) == nullptr || header.sh_type != SHT_SYMTAB ||
            header.sh_entsize == 0) {
            continue;
        }
        Elf_Data* const data = ::elf_getdata(section, nullptr);
        for (std::size_t i = 0; data != nullptr && i < header.sh_size / header.sh_entsize; ++i) {
            GElf_Sym symbol;
            if (::gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr ||
                symbol.st_shndx == SHN_UNDEF || GELF_ST_TYPE(symbol.st_info) == STT_FILE ||
                GELF_ST_TYPE(symbol.st_info) == STT_SECTION) {
                continue;
            }
            const char* const name = ::elf_strptr(elf, header.sh_link, symbol.st_name);
            if (name == nullptr || *name == 0) {
                continue;
            }
            by_name_.emplace(name, symbol.st_value);
            // Of several names of an address a function's.
            if (symbol.st_shndx != SHN_ABS && (GELF_ST_TYPE(symbol.st_info) == STT_FUNC ||
                                               by_address_.count(symbol.st_value) == 0)) {
                by_address_[symbol.st_value] = name;
            }
        }
    }
    ::elf_end(elf);
    return is_empty() ? "it has no symbols (stripped?)" : "";
}

void names::read_map(std::string_view text) {
    for (std::size_t begin = 0; begin < text.size();) {
        std::size_t end = text.find('\n', begin);
        end = end == std::string_view::npos ? text.size() : end;
        std::string one(text.substr(begin, end - begin));
        begin = end + 1;
        while (!one.empty() && (one.back() == '\r' || one.back() == ' ')) {
            one.pop_back();
        }
        char* rest = nullptr;
        const std::uint64_t address = std::strtoull(one.c_str(), &rest, 16);
        if (rest == one.c_str() || address == 0 || rest[0] != ' ' || rest[1] == 0 ||
            rest[2] != ' ') {
            continue;
        }
        std::string name = rest + 3;
        name.resize(std::min(name.find_first_of(" \t"), name.size()));
        if (!name.empty()) {
            by_name_.emplace(name, address);
            by_address_.emplace(address, std::move(name));
        }
    }
}

std::string names::name(std::uint64_t address) const {
    auto found = by_address_.upper_bound(address);
    if (found == by_address_.begin() || address - (--found)->first > farthest) {
        return fmt::format("{:#x}", address);
    }
    const std::uint64_t offset = address - found->first;
    return offset == 0 ? found->second : fmt::format("{}+{:#x}", found->second, offset);
}

std::optional<std::uint64_t> names::find(const std::string& text) const {
    const std::size_t plus = text.find('+');
    const std::string name = text.substr(0, plus);
    std::uint64_t offset = 0;
    char* rest = nullptr;
    if (plus != std::string::npos) {
        offset = std::strtoull(text.c_str() + plus + 1, &rest, 0);
        if (rest == text.c_str() + plus + 1 || *rest != 0) {
            return std::nullopt;
        }
    }
    if (const auto found = by_name_.find(name); found != by_name_.end()) {
        return found->second + offset;
    }
    const std::uint64_t address = std::strtoull(name.c_str(), &rest, 0);
    if (name.empty() || name[0] < '0' || name[0] > '9' || *rest != 0) {
        return std::nullopt;
    }
    return address + offset;
}

} // namespace nmisafe::tool::torture
