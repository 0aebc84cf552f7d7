// SPDX-License-Identifier: MIT
// A QEMU whose guest's RAM is memory of this program too.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tool/emulator/process.hpp"
#include "tool/memory/guest_memory.hpp"

namespace nmisafe::tool {

// What the user's arguments say of the machine; where they say nothing, as QEMU has it.
struct machine_wanted {
    std::string type = "pc";
    std::uint64_t ram_size = std::uint64_t{128} << 20;
};
// Throws a std::runtime_error: the size is none.
machine_wanted find_machine(const std::vector<std::string>& qemu_arguments);

// RAM of a guest, all zeros, in no file system: gone when the last one who has it ends, however that is.
class shared_ram {
  public:
    // Throws a std::runtime_error.
    shared_ram(std::uint64_t size, std::uint64_t below_4_gib);
    ~shared_ram();
    shared_ram(const shared_ram&) = delete;
    shared_ram& operator=(const shared_ram&) = delete;

    int descriptor() const { return descriptor_; }
    std::uint64_t size() const { return size_; }
    const guest_memory& memory() const { return memory_; }
    // Only what was ever written to: to read the rest would make it memory in use.
    std::vector<memory_piece> touched() const;

  private:
    int descriptor_ = -1;
    std::uint8_t* bytes_ = nullptr;
    std::uint64_t size_;
    std::uint64_t below_4_gib_;
    guest_memory memory_;
};

// The arguments, and those that make QEMU take this RAM.
process_command command_with_ram(const std::string& program, std::vector<std::string> arguments,
                                 const shared_ram& ram);

} // namespace nmisafe::tool
