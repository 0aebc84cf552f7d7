// SPDX-License-Identifier: MIT
#include "tool/torture/options.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fstream>
#include <stdexcept>

namespace nmisafe::tool::torture {

namespace {

struct named_path {
    std::string_view name;
    std::string_view begin; // for the plugin
};

constexpr named_path named_paths[] = {
    {"breakpoint", "gate:3"}, {"page-fault", "gate:14"},
    {"debug", "gate:1"},      {"general-protection", "gate:13"},
    {"nmi", "nmi"},           {"nmi-in-nmi", "nmi,latched=1"},
    {"timer", "timer"},       {"syscall", "syscall"},
    {"sysenter", "sysenter"},
};

std::uint64_t address_of(const std::string& text, const names& known) {
    if (const auto found = known.find(text)) {
        return *found;
    }
    throw std::runtime_error(
        fmt::format("{} is neither a path's name ({}), nor an address, nor a symbol{}", text,
                    fmt::join(known_paths(), ", "),
                    known.is_empty() ? " (no symbols are known: --symbols FILE)" : ""));
}

std::string begin_of(const std::string& path, const names& known) {
    for (const named_path& one : named_paths) {
        if (path == one.name) {
            return std::string(one.begin);
        }
    }
    if (path.starts_with("vector:")) {
        std::size_t digits = 0;
        unsigned long vector = 256;
        try {
            vector = std::stoul(path.substr(7), &digits, 0);
        } catch (const std::logic_error&) {
        }
        if (vector > 255 || digits != path.size() - 7) {
            throw std::runtime_error(path + ": vectors are numbers from 0 to 255");
        }
        return fmt::format("gate:{}", vector);
    }
    if (const std::size_t dots = path.find(".."); dots != std::string::npos) {
        return fmt::format("{:#x},end={:#x}", address_of(path.substr(0, dots), known),
                           address_of(path.substr(dots + 2), known));
    }
    return fmt::format("{:#x}", address_of(path, known));
}

// The emulator takes a comma for a separator.
std::string in_hexadecimal(const std::string& text) {
    std::string digits;
    for (const char c : text) {
        digits += fmt::format("{:02x}", static_cast<unsigned char>(c));
    }
    return digits;
}

enum class kernel_kind : std::uint8_t { bootable, compact_disc, disk };

kernel_kind kind_of(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    std::array<char, 8192> head{};
    stream.read(head.data(), head.size());
    const std::string_view text(head.data(), static_cast<std::size_t>(stream.gcount()));
    if (text.empty()) {
        throw std::runtime_error(file.string() + " cannot be read, or is empty");
    }
    if (file.extension() == ".iso") {
        return kernel_kind::compact_disc;
    }
    const bool is_linux = text.size() > 0x206 && text.substr(0x202, 4) == "HdrS";
    const bool is_multiboot = text.find("\x02\xb0\xad\x1b") != std::string_view::npos;
    if (is_linux || is_multiboot) {
        return kernel_kind::bootable;
    }
    if (text.starts_with("\x1f\x8b")) {
        throw std::runtime_error(file.string() + " is compressed: unpack it (gunzip)");
    }
    if (text.starts_with("\177ELF")) {
        throw std::runtime_error(
            file.string() +
            " is an ELF file without a Multiboot header in its first 8 KiB, which QEMU's -kernel "
            "does not boot: make a CD image (.iso) or a disk image with a boot loader in it");
    }
    if (text.size() > 511 && text[510] == '\x55' && text[511] == '\xaa') {
        return kernel_kind::disk;
    }
    throw std::runtime_error(
        file.string() +
        " is no kernel: neither Multiboot, nor Linux' bzImage, nor a bootable disk image");
}

std::string quoted(const std::string& text) {
    const bool is_plain =
        !text.empty() &&
        text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789_-+=:./,@%") == std::string::npos;
    if (is_plain) {
        return text;
    }
    std::string out = "'";
    for (const char c : text) {
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return out + '\'';
}

} // namespace

std::vector<std::string> known_paths() {
    std::vector<std::string> list;
    for (const named_path& one : named_paths) {
        list.emplace_back(one.name);
    }
    list.emplace_back("vector:N");
    return list;
}

void check_together(const torture_options& options) {
    const auto refuse_if = [](bool condition, const char* why) {
        if (condition) {
            throw std::runtime_error(why);
        }
    };
    for (const std::string& path : options.paths) {
        const bool is_nmi = path == "nmi" || path == "nmi-in-nmi";
        refuse_if(!options.at.empty() && !is_nmi, "--at is of the paths nmi and nmi-in-nmi alone");
        refuse_if(options.end != "return" && (is_nmi || path.find("..") != std::string::npos),
                  "--end is not of the paths nmi, nmi-in-nmi and BEGIN..END");
    }
    refuse_if(options.pairs && (options.exact || !options.only.empty()),
              "--pairs is done in a loop: not with --exact or --only");
    refuse_if(options.init && !options.initrd.empty(), "--init has an initramfs: no --initrd");
    if (const std::size_t dots = options.boundaries.find(".."); dots != std::string::npos) {
        const std::string first = options.boundaries.substr(0, dots);
        const std::string last = options.boundaries.substr(dots + 2);
        refuse_if(first.empty() || last.empty() || first.size() > 9 || last.size() > 9 ||
                      std::stoul(first) > std::stoul(last),
                  "--boundaries is FIRST..LAST, the first one not behind the last one");
    }
}

std::string plugin_arguments(const torture_options& options, const sweep_wanted& wanted,
                             const names& known) {
    std::string text = "begin=" + begin_of(wanted.path, known);
    const bool is_nmi = wanted.path == "nmi" || wanted.path == "nmi-in-nmi";
    if (is_nmi && options.at.empty() && options.after.empty() && !options.init) {
        throw std::runtime_error(
            wanted.path + " begins where an NMI is raised: say where (--at), or what the guest "
                          "prints when it is ready (--after)");
    }
    // Xen prints what its guest does, and would be in that.
    if (options.at == "user" || (options.at.empty() && !options.dom0.empty() && is_nmi)) {
        text += ",at=user";
    } else if (!options.at.empty()) {
        text += fmt::format(",at={:#x}", address_of(options.at, known));
    }
    if (options.end != "return" && wanted.path.find("..") == std::string::npos) {
        text += options.end == "user" ? ",end=user"
                                      : fmt::format(",end={:#x}", address_of(options.end, known));
    }
    const std::string after =
        options.after.empty() && options.init ? "torture: ready" : options.after;
    if (!after.empty()) {
        text += ",after=" + in_hexadecimal(after);
    }
    // Linux takes some hundred passes until it has finished what it did at boot.
    constexpr std::uint64_t settled = 1000;
    const bool is_given = options.nth != torture_options{}.nth || !options.init;
    text += fmt::format(",nth={},limit={},jobs={}", is_given ? options.nth : settled, options.limit,
                        options.jobs);
    text += options.machine_check    ? ",raise=mc"
            : options.interrupt != 0 ? fmt::format(",raise={}", options.interrupt)
                                     : ",raise=nmi";
    text += options.processors == 1 ? "" : ",take_turns=1";
    if (wanted.by_fork) {
        text += ",fork=1";
    } else if (options.pairs) {
        text += ",pairs=1";
    }
    // A pass that has no end is over before the tool gives the emulator up.
    text += fmt::format(",milliseconds={}", std::min(10000u, options.timeout_seconds * 500));
    if (wanted.details) {
        text += ",details=1";
    }
    for (const auto& [pc, occurrence] : wanted.only) {
        text += fmt::format(",only={:#x}:{}", pc, occurrence);
    }
    if (const std::size_t dots = options.boundaries.find("..");
        dots != std::string::npos && wanted.only.empty()) {
        text += fmt::format(",first={},last={}", options.boundaries.substr(0, dots),
                            options.boundaries.substr(dots + 2));
    }
    return text;
}

std::filesystem::path dom0_file(const torture_options& options) {
    return options.dom0.empty() || std::filesystem::is_regular_file(options.dom0)
               ? options.dom0
               : options.kernel.parent_path() / options.dom0;
}

namespace {

// A Multiboot module of QEMU's -initrd, where a comma ends one.
std::string module_named(const std::filesystem::path& file) {
    std::string text;
    for (const char c : std::filesystem::absolute(file).string()) {
        text += std::string(c == ',' ? 2 : 1, c);
    }
    return text;
}

} // namespace

std::vector<std::string> qemu_arguments(const torture_options& options, const std::string& path) {
    std::vector<std::string> all = {"-accel",
                                    "tcg,thread=single,tb-size=24",
                                    "-m",
                                    "256",
                                    "-smp",
                                    std::to_string(options.processors),
                                    "-display",
                                    "none",
                                    "-monitor",
                                    "none",
                                    "-parallel",
                                    "none",
                                    "-nic",
                                    "none",
                                    "-no-reboot",
                                    "-chardev",
                                    "stdio,id=console,mux=on,signal=off",
                                    "-serial",
                                    "chardev:console",
                                    "-device",
                                    "isa-debugcon,iobase=0xe9,chardev=console"};
    const auto add = [&all](std::initializer_list<std::string> more) {
        all.insert(all.end(), more);
    };
    if (options.processors == 1) {
        // Virtual time is counted in instructions, so that a run is the same each time. With several CPUs Linux starts
        // no second one then.
        add({"-icount", "shift=3,sleep=off"});
    }
    const std::string file = std::filesystem::absolute(options.kernel).string();
    switch (kind_of(options.kernel)) {
    case kernel_kind::bootable: {
        add({"-kernel", file});
        std::string line = options.append;
        const std::string words = "nokaslr nmi_watchdog=0 quiet torture=" + path;
        if (!options.dom0.empty()) {
            add({"-m", "512", "-initrd",
                 fmt::format("{} console=hvc0 {},{}", module_named(dom0_file(options)), words,
                             module_named(options.initrd))});
            line = "console=com1 com1=115200 dom0_mem=256M noreboot " + line;
        } else {
            if (!options.initrd.empty()) {
                add({"-initrd", std::filesystem::absolute(options.initrd).string()});
            }
            if (options.init) {
                line = fmt::format("console=ttyS0 {} {}", words, line);
            }
        }
        if (!line.empty()) {
            add({"-append", line});
        }
        break;
    }
    case kernel_kind::compact_disc:
        add({"-drive", fmt::format("if=ide,media=cdrom,format=raw,readonly=on,file={}", file)});
        break;
    case kernel_kind::disk:
        add({"-drive", fmt::format("if=ide,format=raw,snapshot=on,file={}", file)});
        break;
    }
    all.insert(all.end(), options.qemu_arguments.begin(), options.qemu_arguments.end());
    return all;
}

std::vector<verdict> allowed_verdicts(const torture_options& options) {
    std::vector<verdict> list;
    for (const std::string& name : options.allow) {
        const auto found = verdict_named(name);
        if (!found) {
            throw std::runtime_error("--allow " + name + ": no such verdict");
        }
        list.push_back(*found);
    }
    return list;
}

std::string raised_text(const torture_options& options) {
    return options.machine_check    ? "machine check"
           : options.interrupt != 0 ? fmt::format("irq {:#x}", options.interrupt)
                                    : "nmi";
}

std::string repeat_command(const torture_options& options, const std::string& path,
                           const boundary& of) {
    if (of.second) {
        return fmt::format("there is none for a pair: --pairs --boundaries {}..{}", of.step,
                           of.step);
    }
    std::string text = "nmisafe torture --path " + quoted(path);
    const auto add = [&text](const char* name, const std::string& value) {
        if (!value.empty()) {
            text += fmt::format(" {} {}", name, quoted(value));
        }
    };
    add("--end", options.end == "return" ? "" : options.end);
    add("--at", options.at);
    add("--after", options.after);
    add("--nth", options.nth == torture_options{}.nth ? "" : std::to_string(options.nth));
    add("--initrd", options.init ? "" : options.initrd.string());
    add("--append", options.append);
    add("--symbols", options.symbols.string());
    add("--limit", options.limit == torture_options{}.limit ? "" : std::to_string(options.limit));
    add("--cpus", options.processors == 1 ? "" : std::to_string(options.processors));
    for (const std::string& verdict : options.allow) {
        add("--allow", verdict);
    }
    add("--irq", options.interrupt != 0 ? std::to_string(options.interrupt) : "");
    add("--qemu", options.qemu == torture_options{}.qemu ? "" : options.qemu);
    text += options.machine_check ? " --mc" : "";
    text += options.init && options.dom0.empty() ? " --init" : "";
    add("--dom0", options.dom0.string());
    add("--arch", options.init ? options.arch : "");
    add("--out", "out/torture-again"); // the report it comes from stays
    add("--only", fmt::format("{:#x}:{}", of.pc, of.occurrence));
    text += ' ' + quoted(options.kernel.string());
    if (!options.qemu_arguments.empty()) {
        text += " --";
        for (const std::string& one : options.qemu_arguments) {
            text += ' ' + quoted(one);
        }
    }
    return text;
}

} // namespace nmisafe::tool::torture
