// SPDX-License-Identifier: MIT
#include "tool/command/torture_options.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <stdexcept>

#include "tool/command/torture_campaign.hpp"
#include "tool/command/torture_command.hpp"

namespace nmisafe::tool {

namespace {

// What a sweep of a campaign may have too.
void add_sweep_options(CLI::App& to, torture::torture_options* options) {
    to.add_option("kernel", options->kernel,
                  "a Multiboot kernel, Linux' bzImage, a CD image (.iso) or a disk image")
        ->type_name("KERNEL");
    to.add_option("--path", options->paths,
                  "the path: breakpoint, page-fault, debug, general-protection, nmi, nmi-in-nmi, "
                  "timer, syscall, sysenter, "
                  "vector:N, a symbol, an address, or BEGIN..END of these; may be repeated "
                  "(default: breakpoint)")
        ->allow_extra_args(false)
        ->type_name("NAME");
    to.add_option("--end", options->end,
                  "where the path ends: return (where it came from), user (the first instruction "
                  "in user mode), or an "
                  "address")
        ->capture_default_str()
        ->type_name("WHERE");
    to.add_option("--at", options->at,
                  "of the paths nmi and nmi-in-nmi: the address at which the NMI is raised whose "
                  "handler is the path, or user: anywhere in user mode")
        ->type_name("ADDRESS");
    to.add_option("--nth", options->nth, "the path is taken so many times before it is swept")
        ->check(CLI::Range(1u, 1000000000u))
        ->capture_default_str()
        ->type_name("N");
    to.add_option("--after", options->after,
                  "and not before the guest has printed this (COM1 or port 0xe9)")
        ->type_name("TEXT");
    CLI::Option* const nmi = to.add_flag("--nmi", options->nmi, "raise NMIs (the default)");
    CLI::Option* const irq = to.add_option("--irq", options->interrupt,
                                           "raise interrupts of this vector, by the local APIC")
                                 ->check(CLI::Range(16u, 255u))
                                 ->type_name("VECTOR")
                                 ->excludes(nmi);
    to.add_flag("--mc", options->machine_check, "raise machine checks")
        ->excludes(nmi)
        ->excludes(irq);
    to.add_flag("--pairs", options->pairs,
                "a second one too, at every boundary behind the entry of the first");
    to.add_flag("--exact", options->exact,
                "fork the emulator at each boundary: the same start for all, and memory is "
                "compared; slower");
    to.add_option("--only", options->only, "only this boundary, and it in detail; may be repeated")
        ->allow_extra_args(false)
        ->type_name("PC:OCCURRENCE");
    to.add_option("--boundaries", options->boundaries, "only these steps of the path")
        ->check([](const std::string& value) {
            const std::size_t dots = value.find("..");
            const std::string digits =
                dots == std::string::npos ? "-" : value.substr(0, dots) + value.substr(dots + 2);
            return digits.size() > 1 && digits.find_first_not_of("0123456789") == std::string::npos
                       ? std::string()
                       : value + " is not of the form FIRST..LAST";
        })
        ->type_name("FIRST..LAST");
    to.add_option("--limit", options->limit, "instructions a pass may take")
        ->check(CLI::Range(1000u, 4000000000u))
        ->capture_default_str()
        ->type_name("N");
    to.add_option("--timeout", options->timeout_seconds,
                  "seconds until the path must have been taken, and for each boundary")
        ->check(CLI::Range(1u, 86400u))
        ->capture_default_str()
        ->type_name("SECONDS");
    to.add_option("--output-limit", options->output_limit, "bytes that the guest may print")
        ->capture_default_str()
        ->type_name("N");
    to.add_option("--allow", options->allow, "a verdict that is no finding; may be repeated")
        ->allow_extra_args(false)
        ->check([](const std::string& value) {
            return torture::verdict_named(value) ? std::string() : value + " is no verdict";
        })
        ->type_name("VERDICT");
    to.add_option("--initrd", options->initrd, "as QEMU's")->type_name("FILE");
    to.add_option("--append", options->append, "the kernel's command line")->type_name("TEXT");
    to.add_flag("--init", options->init,
                "Linux with an initramfs of this tool's, which takes the path in a loop");
    to.add_option("--dom0", options->dom0,
                  "KERNEL is Xen, and starts this Linux (beside KERNEL, if it is not found here) "
                  "with the same "
                  "initramfs")
        ->type_name("FILE");
    to.add_option("--arch", options->arch, "width of --init's programs")
        ->check(CLI::IsMember({"x86_64", "x86_32"}))
        ->capture_default_str()
        ->type_name("NAME");
    to.add_option("--symbols", options->symbols,
                  "ELF file, System.map or what /proc/kallsyms holds; else the kernel's own, or "
                  "those of the .elf beside it")
        ->type_name("FILE");
    to.add_option(
          "--cpus", options->processors,
          "CPUs of the guest; the first one's path is swept while the others run (with --init "
          "they take the same path)")
        ->check(CLI::Range(1u, 64u))
        ->capture_default_str()
        ->type_name("N");
    to.add_option("--jobs", options->jobs, "forks at a time, of --exact")
        ->check(CLI::Range(1u, 16u))
        ->capture_default_str()
        ->type_name("N");
    to.add_option("--qemu", options->qemu, "the emulator")
        ->capture_default_str()
        ->type_name("PROGRAM");
}

torture::torture_options parse_sweep(const std::vector<std::string>& arguments) {
    torture::torture_options options;
    CLI::App app;
    add_sweep_options(app, &options);
    try {
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::ParseError& error) {
        throw std::runtime_error(error.what());
    }
    return options;
}

// What is not said twice: of all sweeps, or of this one.
void add_campaign_options(CLI::App& to, campaign_options* campaign) {
    CLI::Option* const file = to.add_option(
        "--campaign", campaign->file,
        "do the sweeps of this file (JSON), each in a folder of its own in --out; what is done "
        "there already is kept");
    file->type_name("FILE");
    to.add_option("--kernels", campaign->kernels,
                  "of --campaign: folder of its kernels (default: the file's)")
        ->needs(file)
        ->type_name("DIR");
    to.add_option("--sweep", campaign->names, "of --campaign: only this one; may be repeated")
        ->needs(file)
        ->allow_extra_args(false)
        ->type_name("NAME");
    to.add_option("--share", campaign->share,
                  "of --campaign: the K-th of every N, for several machines; without it, what they "
                  "have done is "
                  "taken and the rest is done")
        ->needs(file)
        ->type_name("K/N");
    to.add_flag("--brief", campaign->brief,
                "of --campaign: the parts that it names, not the whole paths")
        ->needs(file);
}

} // namespace

void add_torture(CLI::App& app, std::vector<std::string> qemu_arguments,
                 std::function<int()>& chosen) {
    const auto options = std::make_shared<torture::torture_options>();
    const auto campaign = std::make_shared<campaign_options>();
    options->qemu_arguments = std::move(qemu_arguments);
    CLI::App& to = *app.add_subcommand("torture", "raise an NMI at every instruction boundary of a "
                                                  "kernel's path, and say what became of each");
    to.footer("Behind \"--\" stand more arguments for QEMU:\n"
              "  nmisafe torture --path breakpoint --after ready my-kernel.elf -- -m 512\n"
              "Ends with 0 if every boundary was the same as without the NMI, 1 if there is a "
              "finding, 2 if nothing could\n"
              "be shown, 130 after Ctrl-C; what was done until then is in the report.");
    add_sweep_options(to, options.get());
    add_campaign_options(to, campaign.get());
    to.add_option("--out", options->out, "folder for the report")
        ->capture_default_str()
        ->type_name("DIR");
    to.add_option("--junit", options->junit, "the report for CI too, as JUnit's XML")
        ->type_name("FILE");
    to.final_callback([options, campaign, &chosen] {
        if (options->kernel.empty() == campaign->file.empty()) {
            throw CLI::RequiredError("KERNEL, or --campaign FILE,");
        }
        campaign->out = options->out;
        chosen = [options, campaign] {
            return campaign->file.empty() ? torture_command(*options)
                                          : campaign_command(*campaign, parse_sweep);
        };
    });
}

} // namespace nmisafe::tool
