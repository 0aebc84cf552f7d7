// SPDX-License-Identifier: MIT
#include "tool/emulator/emulator.hpp"

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <regex>

namespace nmisafe::tool {

std::string emulator_program(std::string_view arch) {
    return arch.starts_with("x86_32") ? "qemu-system-i386" : "qemu-system-x86_64";
}

std::optional<qemu> ask_version(const std::string& program, std::string& error) {
    boost::asio::io_context context;
    std::string output;
    std::optional<qemu> found;
    process_limits limits;
    limits.time = std::chrono::seconds(20);
    start_process(
        context, {program, {"--version"}}, limits,
        [&](std::string_view bytes) {
            output += bytes;
            return true;
        },
        [&](const process_result& result) {
            if (result.end == process_end::not_started) {
                error = result.error_output;
                return;
            }
            found = identify_qemu(output);
            if (!found) {
                error = fmt::format("{} --version does not answer like QEMU", program);
            }
        });
    context.run();
    return found;
}

std::filesystem::path image_file(const std::filesystem::path& images, const guest_run& run) {
    const bool has_own = run.entry->without.empty() || !run.entry->image.empty();
    const std::string_view variant = has_own ? run.entry->image : "controls";
    return images /
           fmt::format("nmisafe-{}{}{}.image", run.arch, variant.empty() ? "" : "-", variant);
}

bool has_own_option(const guest_run& run, std::string_view name) {
    // What makes the row what it is, and which of its runs this is.
    for (const std::string_view own : {"experiment", "policy", "without", "mode"}) {
        if (name == own) {
            return true;
        }
    }
    for (const std::string_view option : split_words(run.entry->options)) {
        if (option.substr(0, option.find('=')) == name) {
            return true;
        }
    }
    return false;
}

std::vector<std::string> reference_arguments(const reference_guest& guest) {
    return {"-machine",    "q35",
            "-accel",      guest.accelerator,
            "-cpu",        guest.processor_model,
            "-m",          "64",
            "-smp",        std::to_string(guest.processors),
            "-kernel",     guest.image,
            "-append",     guest.kernel_line,
            "-nodefaults", "-display",
            "none",        "-no-reboot",
            "-debugcon",   "stdio",
            "-device",     "isa-debug-exit,iobase=0xf4,iosize=0x4"};
}

std::string check_kernel_option(const std::string& value) {
    static const std::regex form("[a-z]+=[a-z0-9-]+");
    return std::regex_match(value, form) ? std::string()
                                         : fmt::format("{} is not of the form name=value", value);
}

process_command guest_command(const guest_run& run, const std::filesystem::path& images,
                              const std::vector<std::string>& kernel_options,
                              const execution_log_options& log, const qemu& emulator) {
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
    const bool logged = log.kind != execution_log_kind::none;
    const bool by_instruction = log.kind == execution_log_kind::path; // not by block: raise_log.hpp
    process_command command;
    command.program = emulator_program(run.arch);
    command.folder = images;
    command.arguments = reference_arguments(
        {.accelerator = std::string(by_instruction ? emulator.logged_accelerator : "tcg"),
         .processor_model = std::string(entry.processor_model),
         .processors = entry.processors,
         .image = image_file(images, run).filename().string(),
         .kernel_line = kernel_line});
    auto add = [&](std::initializer_list<std::string> more) {
        command.arguments.insert(command.arguments.end(), more);
    };
    if (entry.instruction_count) {
        // 64 ns of virtual time an instruction: kernel/experiments/shared/sweep.hpp says why.
        add({"-icount", "shift=6,sleep=off"});
    }
    if (logged) {
        if (by_instruction && !emulator.logged_argument.empty()) {
            add({std::string(emulator.logged_argument)});
        }
        // `int`: which instructions fault. Few do while a path is walked once.
        add({"-d", by_instruction ? "exec,nochain,int" : "exec,nochain"});
        add({"-D", fmt::format("/dev/fd/{}", log.descriptor)});
        command.inherited_descriptor = log.descriptor;
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

} // namespace nmisafe::tool
