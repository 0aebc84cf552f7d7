// SPDX-License-Identifier: MIT
// Addresses of a trace become names: the images say which file's code was at them and when, the files what it
// is called, demangled, and where it stands in the source. [ELF, DWARF by elfutils]
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "tool/trace/description.hpp"

namespace nmisafe::tool {

struct place_in_code {
    std::string function;     // empty: not known
    std::uint64_t offset = 0; // in it
    std::string file;         // of the source; empty: not known
    int line = 0;
};

struct symbol_options {
    std::filesystem::path kernel;               // instead of the one that the trace names
    std::vector<std::filesystem::path> folders; // where modules are, beside the kernel's own folder
};

class symbols {
  public:
    symbols(const trace_description& about, const symbol_options& options);
    ~symbols();
    symbols(const symbols&) = delete;
    symbols& operator=(const symbols&) = delete;

    // Whether an image has the address at that time.
    bool is_code(std::uint64_t address, std::uint64_t time) const;

    // Stays until the next call. Empty in all, if there is nothing to say.
    const place_in_code& find(std::uint64_t address, std::uint64_t time);

    // Appends "function+0x12 at file.cpp:34", the place only if it is known. False if not even the
    // function is. Of a caller the place is that of its call, which ends where the address is.
    enum class role : std::uint8_t { instruction, caller };
    bool append_name(std::string& to, std::uint64_t address, std::uint64_t time, role as);

    // The same, or the address.
    std::string name(std::uint64_t address, std::uint64_t time, role as = role::instruction);

    // "kernel: no file; give it with --kernel", one for each image whose file was looked for in vain.
    const std::vector<std::string>& missing() const { return missing_; }

  private:
    class file;

    const code_image* image_at(std::uint64_t address, std::uint64_t time) const;
    file* file_of(const code_image& image);
    place_in_code look_up(const code_image& image, std::uint64_t address);

    const trace_description& about_;
    symbol_options options_;
    std::map<std::string, std::unique_ptr<file>> files_; // by the image's name; null: there is none
    std::vector<std::string> missing_;
    struct key {
        const code_image* image;
        std::uint64_t address;
        bool operator==(const key&) const = default;
    };
    struct hash {
        std::size_t operator()(const key& of) const {
            return std::hash<std::uint64_t>()(of.address) ^ std::hash<const void*>()(of.image);
        }
    };
    std::unordered_map<key, place_in_code, hash> known_;
};

std::string demangle(const char* name);

} // namespace nmisafe::tool
