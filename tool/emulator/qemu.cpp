// SPDX-License-Identifier: MIT
#include "tool/emulator/qemu.hpp"

#include <charconv>
#include <fmt/format.h>

namespace nmisafe::tool {

namespace {

struct known_version {
    unsigned major, minor; // and all later ones, up to the line before
    std::string_view logged_accelerator, logged_argument;
};

// The newest first.
constexpr known_version known_versions[] = {
    {8, 1, "tcg,one-insn-per-tb=on", ""}, // -singlestep is deprecated, and gone in 10.0
    {0, 0, "tcg", "-singlestep"},
};

// Takes a number from the front of the text.
std::optional<unsigned> take_number(std::string_view& text) {
    unsigned value = 0;
    const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (status != std::errc()) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    return value;
}

} // namespace

std::optional<qemu> identify_qemu(std::string_view version_output) {
    constexpr std::string_view prefix = "QEMU emulator version ";
    if (!version_output.starts_with(prefix)) {
        return std::nullopt;
    }
    version_output.remove_prefix(prefix.size());
    const std::string_view version = version_output.substr(0, version_output.find_first_of(" \n"));
    std::string_view rest = version;
    const std::optional<unsigned> major = take_number(rest);
    if (!major || !rest.starts_with('.')) {
        return std::nullopt;
    }
    rest.remove_prefix(1);
    const std::optional<unsigned> minor = take_number(rest);
    if (!minor) {
        return std::nullopt;
    }
    for (const known_version& known : known_versions) {
        if (*major > known.major || (*major == known.major && *minor >= known.minor)) {
            return qemu{fmt::format("qemu {}", version), known.logged_accelerator,
                        known.logged_argument};
        }
    }
    return std::nullopt;
}

} // namespace nmisafe::tool
