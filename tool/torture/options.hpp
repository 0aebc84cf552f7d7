// SPDX-License-Identifier: MIT
// What is tortured, and how: the command line of `nmisafe torture`, and what becomes of it for QEMU and its plugin.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tool/torture/names.hpp"
#include "tool/torture/verdict.hpp"

namespace nmisafe::tool::torture {

struct torture_options {
    std::filesystem::path kernel;
    std::vector<std::string> paths;
    std::string end = "return"; // "user", or an address
    std::string at; // where the NMI whose handler is the path is raised; empty: anywhere
    std::uint64_t nth = 3;
    std::string after;
    bool nmi = false, machine_check = false; // what is raised; none: NMIs
    unsigned interrupt = 0;                  // its vector
    bool pairs = false, exact = false;
    std::vector<std::string> only; // PC:OCCURRENCE
    std::uint64_t limit = 300000;
    unsigned timeout_seconds = 120;
    std::uint64_t output_limit = 16u << 20; // bytes that a guest may print
    std::string boundaries;                 // FIRST..LAST
    std::vector<std::string> allow;
    std::filesystem::path initrd, symbols, junit, out = "out/torture";
    std::filesystem::path dom0; // Linux: the kernel is Xen then
    std::string append, arch = "x86_64", qemu = "qemu-system-x86_64";
    bool init = false; // ours
    unsigned processors = 1, jobs = 1;
    std::vector<std::string> qemu_arguments;
    std::filesystem::path plugin; // empty: beside this program
};

// Of one path: what the plugin is told, without the descriptor. `only`: boundaries to do again, each in a fork.
struct sweep_wanted {
    std::string path;
    bool by_fork = false;
    bool details = false;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> only = {};
};

// Throws std::runtime_error where options are given of which one would be ignored.
void check_together(const torture_options& options);

// Throws std::runtime_error where a path is none, or a name not known.
std::string plugin_arguments(const torture_options& options, const sweep_wanted& wanted,
                             const names& known);

// Where `dom0` is: as it is named, or beside the kernel.
std::filesystem::path dom0_file(const torture_options& options);

std::vector<std::string> qemu_arguments(const torture_options& options, const std::string& path);

std::vector<verdict> allowed_verdicts(const torture_options& options);

// "nmi", "irq 0x40", "machine check".
std::string raised_text(const torture_options& options);

// The one command that does this boundary alone again.
std::string repeat_command(const torture_options& options, const std::string& path,
                           const boundary& of);

// Text of the path in the names of files and tests.
std::vector<std::string> known_paths();

} // namespace nmisafe::tool::torture
