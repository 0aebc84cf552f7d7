// SPDX-License-Identifier: MIT
// The host tool. Its commands: run, record, extract, convert, stats, torture.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/format.h>
#include <functional>
#include <thread>

#include "tool/command/memory_options.hpp"
#include "tool/command/run_command.hpp"
#include "tool/command/torture_options.hpp"
#include "tool/command/trace_commands.hpp"
#include "tool/emulator/emulator.hpp"
#include "tool/files/output_file.hpp"

namespace {

using namespace nmisafe::tool;

// One value for each time the option is given, out of `known`.
void add_choice(CLI::App& command, const std::string& flag, std::vector<std::string>& values,
                const std::vector<std::string>& known, const std::string& help) {
    CLI::Option* option = command.add_option(flag, values, help);
    option->allow_extra_args(false)->type_name("NAME");
    option->check([known](const std::string& value) {
        if (std::find(known.begin(), known.end(), value) != known.end()) {
            return std::string();
        }
        return fmt::format("unknown value {}; known: {}", value, fmt::join(known, ", "));
    });
}

// Where one of the three is closed, the first file that is opened would get its number, and what is
// printed would go there. What stands in for the last two can only be read: who prints is told.
void fill_standard_descriptors() {
    for (const int descriptor : {0, 1, 2}) {
        if (::fcntl(descriptor, F_GETFD) == -1 && errno == EBADF) {
            ::open("/dev/null", O_RDONLY); // the lowest number that is free
        }
    }
}

CLI::App& add_convert(CLI::App& app, convert_options& options) {
    CLI::App& command = *app.add_subcommand(
        "convert", "write a trace in another program's format; what is wrong with it is said on "
                   "standard error, what is readable is written");
    command.add_option("trace", options.trace, "folder of the trace")
        ->required()
        ->type_name("TRACE");
    command.add_option("--to", options.format, "the format")
        ->required()
        ->check(CLI::IsMember(convert_formats()))
        ->type_name("FORMAT");
    command
        .add_option("-o,--out", options.out,
                    "file, or folder of ctf and ctf2, to write; else it goes to standard output")
        ->type_name("PATH");
    command.add_option("--kernel", options.kernel, "the kernel's ELF file, instead of the trace's")
        ->type_name("FILE");
    command.add_option("--symbols", options.symbols, "folder of modules' files; may be repeated")
        ->allow_extra_args(false)
        ->type_name("DIR");
    return command;
}

CLI::App& add_stats(CLI::App& app, stats_options& options) {
    CLI::App& command = *app.add_subcommand(
        "stats", "count a trace's events and losses, and how long NMIs and traps took");
    command.add_option("trace", options.trace, "folder of the trace")
        ->required()
        ->type_name("TRACE");
    command.add_flag("--json", options.json, "as JSON");
    return command;
}

int run(int argc, char** argv) {
    run_options options;
    options.jobs = std::max(1u, std::thread::hardware_concurrency());
    bool list = false;
    std::function<int()> chosen; // instead of `run`
    const std::vector<std::string> qemu_arguments = take_qemu_arguments(argc, argv);

    CLI::App app{"nmisafe: breakpoints and page faults that work inside x86 NMI handlers",
                 "nmisafe"};
    app.require_subcommand(1);
    CLI::App& command =
        *app.add_subcommand("run", "boot the reference kernel and run the experiments");
    add_choice(command, "--arch", options.wanted.architectures, architecture_names(catalogue()),
               "only this width; may be repeated");
    add_choice(command, "--experiment", options.wanted.experiments, experiment_names(catalogue()),
               "only this experiment; may be repeated");
    add_choice(command, "--policy", options.wanted.policies, policy_names(catalogue()),
               "only this return policy; may be repeated");
    command.add_flag("--all", options.wanted.all, "the self tests too, which crash on purpose");
    command.add_flag("--no-controls", options.wanted.no_controls, "only rows that must be safe");
    command.add_flag("--list", list, "show the experiments and run nothing");
    command.add_option("--images", options.images, "folder of the kernel images")
        ->capture_default_str()
        ->type_name("DIR");
    command.add_option("--out", options.out, "folder for the report and the logs")
        ->capture_default_str()
        ->type_name("DIR");
    command.add_option("--jobs", options.jobs, "emulators at a time")
        ->check(CLI::Range(1u, 256u))
        ->capture_default_str()
        ->type_name("N");
    command
        .add_option("--timeout", options.timeout_seconds,
                    "seconds each guest may take, instead of the catalogue's")
        ->check(CLI::Range(1u, 86400u))
        ->type_name("SECONDS");
    command
        .add_option(
            "--kernel-option", options.kernel_options,
            "one more option for the kernel of each row that does not have it itself; may be "
            "repeated")
        ->allow_extra_args(false)
        ->check(check_kernel_option)
        ->type_name("NAME=VALUE");
    command.add_flag("--verbose", options.verbose, "show every row and the tables of all numbers");
    command.add_flag("--keep-logs", options.keep_logs, "keep the execution logs too (large)");
    convert_options converting;
    const CLI::App& convert = add_convert(app, converting);
    stats_options counting;
    const CLI::App& stats = add_stats(app, counting);
    add_record(app, qemu_arguments, chosen);
    add_extract(app, chosen);
    add_torture(app, qemu_arguments, chosen);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return error.get_exit_code() == 0 ? app.exit(error) : refuse(error.what());
    }
    if (convert.parsed()) {
        return convert_command(converting);
    }
    if (stats.parsed()) {
        return stats_command(counting);
    }
    if (chosen) {
        return chosen();
    }
    if (list) {
        print_now(stdout, describe(catalogue()));
        return exit_all_passed;
    }
    return run_command(options);
}

} // namespace

int main(int argc, char** argv) {
    fill_standard_descriptors();
    // Boost.Process asks for the user's locale, and throws where that is not installed.
    ::setenv("LC_ALL", "C", 1);
    std::signal(SIGXFSZ, SIG_IGN); // a write then fails, and is reported
    try {
        const int status = run(argc, argv);
        print_now(stdout, ""); // what --help left in the buffer
        return status;
    } catch (const std::exception& error) {
        return refuse(error.what());
    }
}
