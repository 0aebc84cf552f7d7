// SPDX-License-Identifier: MIT
#include "tool/record/qemu_guest.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <stdexcept>
#include <sys/mman.h>
#include <unistd.h>

namespace nmisafe::tool {

namespace {

// As QEMU reads sizes: "512", "512M", "2G"; without a letter MiB.
std::uint64_t parse_size(std::string_view text) {
    const std::string_view whole = text;
    std::uint64_t number = 0;
    const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), number);
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    unsigned shift = 20;
    if (!text.empty()) {
        constexpr std::string_view letters = "bkmgt"; // each 1024 times the one before
        const auto letter = letters.find(static_cast<char>(text.front() | 0x20));
        shift = letter == std::string_view::npos || text.size() > 1
                    ? 64
                    : 10 * static_cast<unsigned>(letter);
    }
    constexpr unsigned most_bits = 46; // 64 TiB
    if (status != std::errc() || shift >= 64 || number == 0 || number >> (most_bits - shift) != 0) {
        throw std::runtime_error(fmt::format("-m {}: this is no size of RAM", whole));
    }
    return number << shift;
}

// "q35,accel=tcg" -> "q35"; of "size=1G,slots=2" the size.
std::string_view part_of(std::string_view value, std::string_view key) {
    bool is_first = true;
    while (!value.empty()) {
        const std::size_t comma = std::min(value.find(','), value.size());
        std::string_view one = value.substr(0, comma);
        value.remove_prefix(std::min(comma + 1, value.size()));
        const std::size_t equals = one.find('=');
        if (equals == std::string_view::npos && is_first) {
            return one;
        }
        if (equals != std::string_view::npos && one.substr(0, equals) == key) {
            return one.substr(equals + 1);
        }
        is_first = false;
    }
    return {};
}

} // namespace

machine_wanted find_machine(const std::vector<std::string>& arguments) {
    machine_wanted found;
    for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
        std::string_view option = arguments[i];
        if (option.starts_with("--")) {
            option.remove_prefix(1);
        }
        if (option == "-m") {
            if (const std::string_view size = part_of(arguments[i + 1], "size"); !size.empty()) {
                found.ram_size = parse_size(size);
            }
        } else if (option == "-machine" || option == "-M") {
            if (const std::string_view type = part_of(arguments[i + 1], "type"); !type.empty()) {
                found.type = type;
            }
        }
    }
    return found;
}

shared_ram::shared_ram(std::uint64_t size, std::uint64_t below_4_gib)
    : size_(size), below_4_gib_(below_4_gib) {
    const auto fail = [&](const char* what) {
        throw std::runtime_error(
            fmt::format("{} bytes of RAM for the guest: {}: {}", size, what, std::strerror(errno)));
    };
    descriptor_ = ::memfd_create("nmisafe-guest-ram", MFD_CLOEXEC);
    if (descriptor_ < 0 || ::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) {
        fail("memfd_create");
    }
    void* const mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
    if (mapped == MAP_FAILED) {
        fail("mmap");
    }
    bytes_ = static_cast<std::uint8_t*>(mapped);
    memory_ = lay_out_ram({bytes_, size_}, below_4_gib_);
}

shared_ram::~shared_ram() {
    ::munmap(bytes_, size_);
    ::close(descriptor_);
}

std::vector<memory_piece> shared_ram::touched() const {
    std::vector<memory_piece> found;
    off_t at = 0;
    for (;;) {
        const off_t begin = ::lseek(descriptor_, at, SEEK_DATA);
        const off_t end = begin < 0 ? begin : ::lseek(descriptor_, begin, SEEK_HOLE);
        if (end < 0) {
            break; // ENXIO: nothing more
        }
        const guest_memory part =
            lay_out_ram({bytes_, static_cast<std::size_t>(end)}, below_4_gib_);
        const auto first = static_cast<std::uint64_t>(begin);
        for (const memory_piece& piece : part.pieces()) {
            const auto offset = static_cast<std::uint64_t>(piece.bytes.data() - bytes_);
            const std::uint64_t skip = first > offset ? first - offset : 0;
            if (skip < piece.bytes.size()) {
                found.push_back({piece.physical + skip, piece.bytes.subspan(skip)});
            }
        }
        at = end;
    }
    return found;
}

// By its number the memory can be opened in the child, where it has no name.
process_command command_with_ram(const std::string& program, std::vector<std::string> arguments,
                                 const shared_ram& ram) {
    process_command command;
    command.program = program;
    command.arguments = std::move(arguments);
    for (const std::string& one :
         {std::string("-object"),
          fmt::format(
              "memory-backend-file,id=nmisafe-ram,size={},mem-path=/proc/self/fd/{},share=on",
              ram.size(), ram.descriptor()),
          std::string("-machine"), std::string("memory-backend=nmisafe-ram")}) {
        command.arguments.push_back(one);
    }
    command.inherited_descriptor = ram.descriptor();
    return command;
}

} // namespace nmisafe::tool
