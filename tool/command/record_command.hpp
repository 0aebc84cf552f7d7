// SPDX-License-Identifier: MIT
// `nmisafe record`.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace nmisafe::tool {

struct record_options {
    std::filesystem::path output = "out/trace";
    bool replace = false;
    std::filesystem::path page;    // the timeline too, for a browser; empty: none
    bool open = false;             // and the desktop is asked to show it
    double duration = 0;           // seconds from when the trace is found; 0: until the guest ends
    bool only_on_panic = false;    // flight recorders are written when the machine panics
    unsigned timeout_seconds = 60; // for the trace to be there, and for news of it; 0: for ever
    bool quiet = false;

    // The reference kernel, if there are no arguments for QEMU.
    std::filesystem::path images = "build/gcc/kernel";
    std::string arch = "x86_64";
    std::string experiment = "trace-example";
    unsigned processors = 2;
    std::vector<std::string> kernel_options; // name=value

    std::string qemu;   // the program; empty: of the width
    std::string kernel; // ELF file, for who reads the trace
    std::vector<std::string> qemu_arguments;
};

int record_command(const record_options& options);

} // namespace nmisafe::tool
