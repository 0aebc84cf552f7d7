// SPDX-License-Identifier: MIT
#include "tool/command/record_command.hpp"

#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool/command/recording.hpp"
#include "tool/command/run_command.hpp"
#include "tool/command/trace_commands.hpp"
#include "tool/emulator/emulator.hpp"
#include "tool/files/output_file.hpp"
#include "tool/record/qemu_guest.hpp"

namespace nmisafe::tool {

namespace {

std::filesystem::path image_of(const record_options& options) {
    return options.images / fmt::format("nmisafe-{}.image", options.arch);
}

// The reference kernel, as `run` starts it; but nothing is counted, and time is the host's.
std::vector<std::string> arguments_of(const record_options& options) {
    std::string line = fmt::format("experiment={} policy=near", options.experiment);
    bool says_trace = false;
    for (const std::string& option : options.kernel_options) {
        line += ' ' + option;
        says_trace = says_trace || option.starts_with("trace=");
    }
    if (!says_trace) {
        line += options.only_on_panic ? " trace=overwrite" : " trace=on";
    }
    return reference_arguments({.accelerator = options.processors > 1 ? "tcg,thread=multi" : "tcg",
                                .processor_model = "max",
                                .processors = options.processors,
                                .image = image_of(options).filename().string(),
                                .kernel_line = line});
}

// By whatever the user's desktop has for pages.
int open_page(const std::filesystem::path& page) {
    std::string program = "xdg-open";
    std::string name = page.string();
    char* const arguments[] = {program.data(), name.data(), nullptr};
    pid_t child = 0;
    const int error = ::posix_spawnp(&child, program.c_str(), nullptr, nullptr, arguments, environ);
    if (error != 0) {
        return refuse(fmt::format("--open: {}: {}", program, std::strerror(error)));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status == 0 ? exit_all_passed
                       : refuse(fmt::format("--open: {} cannot show {}", program, name));
}

// The trace as a page. What of it there is to be seen is seen, however the recording ended.
int write_page(const record_options& options, int status) {
    if (options.page.empty() || status == exit_cannot_run) {
        return status;
    }
    convert_options how;
    how.trace = options.output;
    how.format = "html";
    how.out = options.page;
    const int made = convert_command(how);
    if (made != exit_cannot_run) {
        print_now(stdout, fmt::format("timeline: file://{}\n",
                                      std::filesystem::absolute(options.page).string()));
    }
    const int opened =
        options.open && made != exit_cannot_run ? open_page(options.page) : exit_all_passed;
    return status != exit_all_passed ? status : made != exit_all_passed ? made : opened;
}

} // namespace

int record_command(const record_options& options) {
    const bool is_reference = options.qemu_arguments.empty();
    const std::vector<std::string> arguments =
        is_reference ? arguments_of(options) : options.qemu_arguments;
    const machine_wanted machine = find_machine(arguments);
    const shared_ram ram(machine.ram_size, size_below_4_gib(machine.type, machine.ram_size));
    const std::string program =
        options.qemu.empty() ? emulator_program(options.arch) : options.qemu;
    recording_options wanted;
    wanted.command = command_with_ram(program, arguments, ram);
    wanted.kernel = options.kernel;
    if (is_reference) {
        const std::filesystem::path image = image_of(options);
        if (!std::filesystem::is_regular_file(image)) {
            return refuse(
                fmt::format("there is no image {} (build the kernel first)", image.string()));
        }
        wanted.command.folder = options.images;
        if (wanted.kernel.empty()) {
            wanted.kernel = std::filesystem::absolute(image).replace_extension(".elf").string();
        }
    }
    wanted.output = options.output;
    wanted.replace = options.replace;
    wanted.duration = options.duration;
    wanted.only_on_panic = options.only_on_panic;
    wanted.timeout_seconds = options.timeout_seconds;
    wanted.quiet = options.quiet;
    wanted.echo = !is_reference;
    boost::asio::io_context context;
    recording one(context, ram, wanted);
    one.start();
    context.run();
    return write_page(options, one.status());
}

} // namespace nmisafe::tool
