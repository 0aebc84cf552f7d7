// SPDX-License-Identifier: MIT
#include "tool/emulator/emulator.hpp"

#include <fmt/format.h>

namespace nmisafe::tool {

std::string emulator_program(std::string_view arch) {
    return arch.starts_with("x86_32") ? "qemu-system-i386" : "qemu-system-x86_64";
}

std::filesystem::path image_file(const std::filesystem::path& images, const guest_run& run) {
    const std::string_view variant = run.entry->without.empty() ? run.entry->image : "controls";
    return images /
           fmt::format("nmisafe-{}{}{}.image", run.arch, variant.empty() ? "" : "-", variant);
}

process_command guest_command(const guest_run& run, const std::filesystem::path& images,
                              const std::vector<std::string>& kernel_options,
                              const execution_log_options& log) {
    const catalogue_entry& entry = *run.entry;
    std::string kernel_line = fmt::format("experiment={} policy={}", entry.experiment, run.policy);
    if (!entry.without.empty()) {
        kernel_line += fmt::format(" without={}", entry.without);
    }
    if (!entry.options.empty()) {
        kernel_line += fmt::format(" {}", entry.options);
    }
    for (const std::string& option : kernel_options) {
        kernel_line += ' ' + option;
    }
    if (log.kind == execution_log_kind::path) {
        kernel_line += " mode=trace";
    }
    process_command command{emulator_program(run.arch),
                            {
                                "-machine",    "q35",                              //
                                "-accel",      "tcg",                              //
                                "-cpu",        std::string(entry.processor_model), //
                                "-m",          "64",                               //
                                "-smp",        std::to_string(entry.processors),   //
                                "-kernel",     image_file(images, run).string(),   //
                                "-append",     kernel_line,                        //
                                "-nodefaults", "-display",
                                "none",        "-no-reboot",                            //
                                "-debugcon",   "stdio",                                 //
                                "-device",     "isa-debug-exit,iobase=0xf4,iosize=0x4", //
                            }};
    auto add = [&](std::initializer_list<std::string> more) {
        command.arguments.insert(command.arguments.end(), more);
    };
    if (entry.instruction_count) {
        // 64 ns of virtual time an instruction: kernel/experiments/shared/sweep.hpp says why.
        add({"-icount", "shift=6,sleep=off"});
    }
    if (log.kind != execution_log_kind::none) {
        // `int`: which instructions fault. Few do while a path is walked once.
        const bool faults = log.kind == execution_log_kind::path;
        add({"-singlestep", "-d", faults ? "exec,nochain,int" : "exec,nochain", "-D",
             log.file.string()});
        std::string filter;
        for (const address_range& range : log.only) {
            filter += fmt::format("{}{:#x}+{:#x}", filter.empty() ? "" : ",", range.begin,
                                  range.end - range.begin);
        }
        if (!filter.empty()) {
            add({"-dfilter", filter});
        }
    }
    if (log.kind == execution_log_kind::raises) {
        add({"-trace", "apic_deliver_irq"});
    }
    return command;
}

std::string emulator_version(std::string_view version_output) {
    constexpr std::string_view prefix = "QEMU emulator version ";
    if (!version_output.starts_with(prefix)) {
        return {};
    }
    version_output.remove_prefix(prefix.size());
    return fmt::format("qemu {}", version_output.substr(0, version_output.find_first_of(" \n")));
}

} // namespace nmisafe::tool
