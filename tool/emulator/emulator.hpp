// SPDX-License-Identifier: MIT
// The emulator's command lines.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tool/catalogue/catalogue.hpp"
#include "tool/emulator/process.hpp"
#include "tool/emulator/qemu.hpp"
#include "tool/protocol/console.hpp"

namespace nmisafe::tool {

// The guest writes 0x10 to the debug-exit port; QEMU then exits with 2 * 0x10 + 1.
inline constexpr int guest_success_status = 33;

std::string emulator_program(std::string_view arch);

// Empty when the program is missing or is no QEMU; `error` then says so.
std::optional<qemu> ask_version(const std::string& program, std::string& error);

// nmisafe-<arch>.image, or the one with the controls, where parts of the mechanism can be left out.
std::filesystem::path image_file(const std::filesystem::path& images, const guest_run& run);

// The reference kernel's machine: what every run of it has, and what runs differ in.
struct reference_guest {
    std::string accelerator;
    std::string processor_model;
    unsigned processors;
    std::string image; // a name in the folder that QEMU is started in
    std::string kernel_line;
};
std::vector<std::string> reference_arguments(const reference_guest& guest);

// Empty, or what is wrong with it. One word, which QEMU hands on as it is: it takes a comma for a
// separator.
std::string check_kernel_option(const std::string& value);

enum class execution_log_kind : std::uint8_t {
    none,
    path,   // the guest walks each path once, undisturbed (mode=trace): what is executed on it
    raises, // the guest runs as usual: between which instructions devices raise NMIs
};

struct execution_log_options {
    execution_log_kind kind = execution_log_kind::none;
    int descriptor = -1;                  // where to: open here, for QEMU to inherit
    std::vector<address_range> only = {}; // what is logged; empty: everything
};

// Whether the row's command line says this itself: of two options with a name the kernel takes the
// first, so a further one would do nothing.
bool has_own_option(const guest_run& run, std::string_view name);

// `kernel_options` come behind the catalogue's. No path is an argument: QEMU takes a `%` in a log's
// name for a place to fill in, and hands the image's name to the kernel as part of its command
// line, where it may hold a space or leave no room.
process_command guest_command(const guest_run& run, const std::filesystem::path& images,
                              const std::vector<std::string>& kernel_options,
                              const execution_log_options& log, const qemu& emulator);

} // namespace nmisafe::tool
