// SPDX-License-Identifier: MIT
// Names of a guest's addresses, from an ELF file, a System.map, or a copy of /proc/kallsyms.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace nmisafe::tool::torture {

class names {
  public:
    // Why the file has none, or empty.
    std::string read(const std::filesystem::path& file);
    // Lines of "address type name"; what is not is left out.
    void read_map(std::string_view text);

    bool is_empty() const { return by_address_.empty(); }
    // "name", or "name+0x12"; of an address without a name its digits.
    std::string name(std::uint64_t address) const;
    // "name", "name+12" or an address.
    std::optional<std::uint64_t> find(const std::string& text) const;

  private:
    std::string read_elf(int descriptor);

    std::map<std::uint64_t, std::string> by_address_;
    std::map<std::string, std::uint64_t, std::less<>> by_name_;
};

} // namespace nmisafe::tool::torture
