// SPDX-License-Identifier: MIT
#include "tool/command/memory_options.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <string_view>

#include "tool/command/extract_command.hpp"
#include "tool/command/record_command.hpp"
#include "tool/command/run_command.hpp"
#include "tool/emulator/emulator.hpp"

namespace nmisafe::tool {

std::vector<std::string> take_qemu_arguments(int& argc, char** argv) {
    std::vector<std::string> taken;
    if (argc < 2 ||
        (std::string_view(argv[1]) != "record" && std::string_view(argv[1]) != "torture")) {
        return taken;
    }
    for (int i = 2; i < argc; ++i) {
        if (std::string_view(argv[i]) == "--") {
            taken.assign(argv + i + 1, argv + argc);
            argc = i;
        }
    }
    return taken;
}

void add_record(CLI::App& app, std::vector<std::string> qemu_arguments,
                std::function<int()>& chosen) {
    const auto options = std::make_shared<record_options>();
    const auto is_example = std::make_shared<bool>(false);
    options->qemu_arguments = std::move(qemu_arguments);
    CLI::App& to =
        *app.add_subcommand("record", "boot a guest and write its trace to disk while it runs");
    to.footer(
        "Behind \"--\" stand arguments for QEMU, to boot another guest than the reference kernel:\n"
        "  nmisafe record --output trace -- -machine q35 -m 512 -kernel my.image\n"
        "Ctrl-C ends the recording; the trace is whole then too.");
    to.add_option("--output,-o", options->output, "folder for the trace")
        ->capture_default_str()
        ->type_name("DIR");
    to.add_flag("--replace", options->replace, "a trace that is there already is removed");
    to.add_flag(
        "--example", *is_example,
        "the reference kernel with threads, interrupts, page faults and NMIs at once, and its "
        "timeline beside the trace");
    to.add_option("--page", options->page, "file for the timeline, a page for any browser")
        ->type_name("FILE");
    to.add_flag("--open", options->open, "the timeline is opened too (xdg-open)");
    to.add_option("--duration", options->duration,
                  "seconds to record, instead of until the guest ends")
        ->check(CLI::Range(0.001, 1e6))
        ->type_name("SECONDS");
    to.add_option("--snapshot-on",
                  "what flight recorders (buffers that overwrite) are written on, once")
        ->check([](const std::string& value) {
            return value == "panic" ? std::string() : value + " is none of: panic";
        })
        ->type_name("panic")
        ->each([options](const std::string&) { options->only_on_panic = true; });
    to.add_option("--timeout", options->timeout_seconds,
                  "seconds until there must be a trace, and then new events in it; 0: any time")
        ->check(CLI::Range(0u, 86400u))
        ->capture_default_str()
        ->type_name("SECONDS");
    to.add_flag("--quiet", options->quiet, "no rates and losses while it runs");
    to.add_option("--images", options->images, "folder of the reference kernel's images")
        ->capture_default_str()
        ->type_name("DIR");
    to.add_option("--arch", options->arch, "width of the guest")
        ->check(CLI::IsMember({"x86_64", "x86_32", "x86_32_pae"}))
        ->capture_default_str()
        ->type_name("NAME");
    to.add_option("--experiment", options->experiment, "what the reference kernel does")
        ->capture_default_str()
        ->type_name("NAME");
    to.add_option("--processors", options->processors, "the reference kernel's CPUs")
        ->check(CLI::Range(1u, 8u))
        ->capture_default_str()
        ->type_name("N");
    to.add_option("--kernel-option", options->kernel_options,
                  "one more option for the reference kernel")
        ->allow_extra_args(false)
        ->check(check_kernel_option)
        ->type_name("NAME=VALUE");
    to.add_option("--qemu", options->qemu, "the program, instead of qemu-system-x86_64 or -i386")
        ->type_name("FILE");
    to.add_option("--kernel", options->kernel,
                  "the kernel's ELF file, from which addresses get names later")
        ->type_name("FILE");
    to.callback([options, is_example, &chosen] {
        if (*is_example) {
            options->experiment = "trace-example";
            options->replace = true;
        }
        if (options->page.empty() && (*is_example || options->open)) {
            // Beside it: babeltrace2 takes every file of a trace's folder for a part of it.
            options->page = options->output;
            options->page += ".html";
        }
        chosen = [options] { return record_command(*options); };
    });
}

void add_extract(CLI::App& app, std::function<int()>& chosen) {
    const auto options = std::make_shared<extract_options>();
    CLI::App& to =
        *app.add_subcommand("extract", "write the trace that is in an image of a machine's memory");
    to.footer("IMAGE is raw (QEMU's pmemsave) or an ELF core (dump-guest-memory). Written are "
              "packets that were\n"
              "delivered, and of others what was committed. Exit status 1: something was damaged "
              "or missing.");
    to.add_option("IMAGE", options->image, "the file")->required()->type_name("");
    to.add_option("--output,-o", options->output, "folder for the trace")
        ->capture_default_str()
        ->type_name("DIR");
    to.add_flag("--replace", options->replace, "a trace that is there already is removed");
    to.add_option("--base", options->base, "the physical address at which a raw image begins")
        ->type_name("ADDRESS");
    to.add_option_function<std::uint64_t>(
          "--descriptor", [options](const std::uint64_t& value) { options->descriptor = value; },
          "of several traces that whose descriptor lies here")
        ->type_name("ADDRESS");
    to.add_option("--kernel", options->kernel,
                  "the kernel's ELF file, from which addresses get names later")
        ->type_name("FILE");
    to.callback([options, &chosen] { chosen = [options] { return extract_command(*options); }; });
}

} // namespace nmisafe::tool
