// SPDX-License-Identifier: MIT
#include "tool/command/torture_command.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>
#include <set>
#include <stdexcept>
#include <unistd.h>

#include "tool/command/run_command.hpp"
#include "tool/emulator/emulator.hpp"
#include "tool/files/folder_lock.hpp"
#include "tool/files/output_file.hpp"
#include "tool/torture/second_run.hpp"
#include "tool/torture/sweep_run.hpp"

namespace nmisafe::tool {

namespace {

using namespace torture;

constexpr std::size_t most_second_runs = 300; // boundaries

std::filesystem::path folder_of_this_program() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

std::string version_of(const std::string& program) {
    std::string error;
    const std::optional<qemu> found = ask_version(program, error);
    if (!found) {
        throw std::runtime_error(error);
    }
    return found->version;
}

class torture_job {
  public:
    explicit torture_job(torture_options options) : options_(std::move(options)) {}

    int run();

  private:
    void prepare();
    void read_names();
    sweep_report sweep(const std::string& path);
    sweep_outcome start(const sweep_wanted& wanted);
    void confirm_memory(const std::string& path, sweep_report& report);
    void confirm(const std::string& path, sweep_report& report);
    void note_coverage(sweep_report& report) const;
    std::string cannot(const std::string& console) const;
    void show(const std::string& path, const sweep_lines& lines, double seconds);
    void write();
    std::vector<std::pair<std::uint64_t, std::uint64_t>> given_boundaries() const;

    torture_options options_;
    names names_;
    torture_report report_;
    folder_lock lock_;
    std::string error_;
    bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
};

void torture_job::prepare() {
    options_.init = options_.init || !options_.dom0.empty();
    if (options_.paths.empty()) {
        options_.paths = {"breakpoint"};
    }
    check_together(options_);
    if (!std::filesystem::is_regular_file(options_.kernel)) {
        throw std::runtime_error(options_.kernel.string() + ": there is no such file");
    }
    if (options_.plugin.empty()) {
        options_.plugin = folder_of_this_program() / "nmisafe_torture.so";
    }
    if (!std::filesystem::is_regular_file(options_.plugin)) {
        throw std::runtime_error(
            options_.plugin.string() +
            ": the plugin for QEMU is not there (build the target nmisafe_torture)");
    }
    if (!options_.dom0.empty() && !std::filesystem::is_regular_file(dom0_file(options_))) {
        throw std::runtime_error(options_.dom0.string() + ": there is no such file (--dom0)");
    }
    if (options_.init) {
        options_.initrd =
            folder_of_this_program() / "torture" / fmt::format("init-{}.cpio", options_.arch);
        if (!std::filesystem::is_regular_file(options_.initrd)) {
            throw std::runtime_error(options_.initrd.string() + ": there is no such file (--init)");
        }
    }
    report_.allowed = allowed_verdicts(options_);
    report_.kernel = options_.kernel.string();
    report_.arch = options_.arch;
    report_.emulator = version_of(options_.qemu);
    read_names();
    for (const std::string& path :
         options_.paths) { // what is wrong is said before anything is started
        plugin_arguments(options_, {path}, names_);
        qemu_arguments(options_, path);
    }
    std::filesystem::create_directories(options_.out);
    if (const std::string taken = lock_.take(options_.out); !taken.empty()) {
        throw std::runtime_error(taken);
    }
}

void torture_job::read_names() {
    if (!options_.symbols.empty()) {
        if (const std::string why = names_.read(options_.symbols); !why.empty()) {
            throw std::runtime_error(why);
        }
        return;
    }
    // The kernel itself, or the file with symbols that stands beside it.
    std::filesystem::path beside = options_.kernel;
    for (const std::filesystem::path& file : {options_.kernel, beside.replace_extension(".elf")}) {
        if (std::filesystem::is_regular_file(file) && names_.is_empty() &&
            !names_.read(file).empty()) {
            names_ = {};
        }
    }
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> torture_job::given_boundaries() const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> list;
    for (const std::string& one : options_.only) {
        const std::size_t colon = one.find(':');
        const auto pc = names_.find(one.substr(0, colon));
        if (!pc) {
            throw std::runtime_error(
                fmt::format("--only {}: neither an address nor a symbol", one));
        }
        const std::string number = colon == std::string::npos ? "0" : one.substr(colon + 1);
        if (number.empty() || number.size() > 9 ||
            number.find_first_not_of("0123456789") != std::string::npos) {
            throw std::runtime_error(
                fmt::format("--only {}: behind the colon stands how often it came before", one));
        }
        list.emplace_back(*pc, std::stoull(number));
    }
    return list;
}

sweep_outcome torture_job::start(const sweep_wanted& wanted) {
    const sweep_command command{options_.qemu,
                                qemu_arguments(options_, wanted.path),
                                std::filesystem::absolute(options_.plugin).string(),
                                plugin_arguments(options_, wanted, names_),
                                options_.output_limit,
                                options_.timeout_seconds};
    return run_sweep(command, [&](const sweep_lines& lines, double seconds) {
        show(wanted.path, lines, seconds);
    });
}

void torture_job::show(const std::string& path, const sweep_lines& lines, double seconds) {
    if (!is_terminal_) {
        return;
    }
    std::string text = fmt::format("\r\033[K{}: ", path);
    if (!lines.is_armed()) {
        text += "the guest boots";
    } else {
        const auto done = static_cast<double>(lines.boundaries().size());
        const auto all = static_cast<double>(lines.path().size());
        const double rate = seconds > 0 ? done / seconds : 0;
        text += fmt::format("{:.0f} of about {:.0f} boundaries, {:.0f} a second", done, all, rate);
        if (rate > 0 && all > done) {
            text += fmt::format(", {:.0f} s left", (all - done) / rate);
        }
    }
    std::fputs(text.c_str(), stderr);
    std::fflush(stderr);
}

// Of our init.
std::string torture_job::cannot(const std::string& console) const {
    const std::size_t begin = console.find("torture: cannot ");
    return begin == std::string::npos
               ? ""
               : console.substr(begin, console.find_first_of("\r\n", begin) - begin);
}

void torture_job::note_coverage(sweep_report& report) const {
    std::set<std::uint64_t> hit;
    for (const judged_boundary& one : report.boundaries) {
        hit.insert(one.what.pc);
    }
    report.missing.clear();
    if (!options_.boundaries.empty()) {
        return; // a part was asked for
    }
    for (const std::uint64_t pc : report.walked) {
        if (hit.insert(pc).second) {
            report.missing.push_back(pc);
        }
    }
}

sweep_report torture_job::sweep(const std::string& path) {
    sweep_wanted wanted{path};
    wanted.only = given_boundaries();
    wanted.by_fork = options_.exact || !wanted.only.empty();
    wanted.details = !wanted.only.empty();
    sweep_outcome outcome = start(wanted);
    sweep_report report;
    report.path = path;
    report.raised = raised_text(options_);
    report.by_fork = wanted.by_fork;
    report.pairs = options_.pairs;
    report.width = outcome.lines.width();
    report.walked = outcome.lines.path();
    report.disassembly = disassemble(outcome.lines.code(), outcome.lines.width());
    report.seconds = outcome.seconds;
    report.cpu_seconds = outcome.lines.cpu_seconds();
    report.instructions_of_others = outcome.lines.instructions_of_others();
    report.error = outcome.error;
    report_.interrupted = report_.interrupted || outcome.interrupted;
    if (const std::string why = cannot(outcome.console); !why.empty() && !outcome.error.empty()) {
        report.error = "the guest says \"" + why + '"';
    }
    output_file console;
    console.open(options_.out / "console.log");
    console.write(outcome.console);
    for (boundary& one : outcome.lines.boundaries()) {
        const judgement came_to = judge(one, report_.allowed);
        report.boundaries.push_back({std::move(one), came_to});
    }
    // Forks tell in the order in which they end.
    std::stable_sort(report.boundaries.begin(), report.boundaries.end(),
                     [](const judged_boundary& a, const judged_boundary& b) {
                         return a.what.step < b.what.step;
                     });
    if (report.error.empty() && report.boundaries.empty()) {
        report.error = "none of the boundaries is on the path";
    }
    if (!report.error.empty() || wanted.details) {
        return report;
    }
    note_coverage(report);
    confirm(path, report);
    return report;
}

// Memory differs from one boot to another, as nothing else does: a whole second sweep tells what of it is the boundary's.
void torture_job::confirm_memory(const std::string& path, sweep_report& report) {
    const bool has_any =
        std::any_of(report.boundaries.begin(), report.boundaries.end(),
                    [](const judged_boundary& one) { return !one.what.memory.empty(); });
    if (!has_any || report_.interrupted) {
        return;
    }
    sweep_outcome outcome = start({path, true, false, {}});
    report_.interrupted = report_.interrupted || outcome.interrupted;
    if (outcome.error.empty()) {
        compare_memory(report, outcome.lines.boundaries(), report_.allowed);
    } else {
        report.error = "the second run: " + outcome.error;
    }
}

// What is an anomaly is done again, from one start, beside the undisturbed path; and what a loop has stepped over.
// A path of some hundred steps may go another way: once more then.
void torture_job::confirm(const std::string& path, sweep_report& report) {
    confirm_memory(path, report);
    std::set<occurrence_of_pc> left;
    for (judged_boundary& one : report.boundaries) {
        const bool counts = report_.is_finding(one) && !one.what.second;
        if (counts && left.size() < most_second_runs) {
            left.emplace(one.what.pc, one.what.occurrence);
        }
    }
    std::set<std::uint64_t> missing(report.missing.begin(), report.missing.end());
    std::vector<boundary> more;
    std::string error;
    for (unsigned again = 0; again < 2 && !report_.interrupted; ++again) {
        sweep_wanted wanted{path, true, true, {left.begin(), left.end()}};
        for (const std::uint64_t pc : missing) {
            if (wanted.only.size() < left.size() + most_second_runs) {
                wanted.only.emplace_back(pc, 0);
            }
        }
        if (wanted.only.empty() || (again != 0 && left.empty())) {
            break;
        }
        const sweep_outcome outcome = start(wanted);
        report_.interrupted = report_.interrupted || outcome.interrupted;
        error = outcome.error;
        left = compare_with_second_run(report, left, outcome.lines.boundaries(), report_.allowed,
                                       more);
        for (const boundary& one : more) {
            missing.erase(one.pc);
        }
    }
    if (error.empty() && !report_.interrupted) {
        call_noise(report, left);
    } else if (!left.empty() || !missing.empty()) {
        report.error = "the second run: " + (error.empty() ? "interrupted" : error);
    }
    report.missing.assign(missing.begin(), missing.end());
    if (report.error.empty() && !report.missing.empty()) {
        report.error = fmt::format("{} addresses of the path were not hit, the first one {}",
                                   report.missing.size(), names_.name(report.missing.front()));
    }
    for (boundary& one : more) {
        one.memory.clear();
        const judgement came_to = judge(one, report_.allowed);
        report.boundaries.push_back({std::move(one), came_to});
    }
}

void torture_job::write() {
    report_.command = "nmisafe torture"; // of all; a boundary's own is beside it
    for (const std::string& path : options_.paths) {
        report_.command += " --path " + path;
    }
    report_.command += ' ' + options_.kernel.string();
    const auto put = [this](const std::filesystem::path& file, const std::string& text) {
        if (const std::string why = write_whole(file, text); !why.empty()) {
            error_ = why;
        }
    };
    put(options_.out / "report.json", report_json(report_, names_));
    put(options_.out / "report.html", report_page(report_, names_));
    if (!options_.junit.empty()) {
        put(options_.junit, junit_xml(report_, names_));
    }
}

int torture_job::run() {
    prepare();
    for (const std::string& path : options_.paths) {
        report_.sweeps.push_back(sweep(path));
        for (judged_boundary& one : report_.sweeps.back().boundaries) {
            one.repeat =
                one.came_to.what == verdict::same ? "" : repeat_command(options_, path, one.what);
        }
        if (report_.interrupted) {
            break;
        }
    }
    if (is_terminal_) {
        std::fputs("\r\033[K", stderr);
    }
    write();
    print_now(stdout, table_text(report_) + anomalies_text(report_, names_, 10));
    print_now(stdout, fmt::format("report: {} and report.json beside it\n",
                                  (options_.out / "report.html").string()));
    if (!error_.empty()) {
        return refuse(error_);
    }
    if (report_.interrupted) {
        return exit_interrupted;
    }
    std::uint64_t findings = 0;
    std::string why;
    for (const sweep_report& one : report_.sweeps) {
        findings += report_.findings(one);
        if (why.empty() && !one.error.empty()) {
            why = one.path + ": " + one.error;
        }
    }
    if (findings != 0) {
        return exit_some_failed;
    }
    return why.empty() ? exit_all_passed : refuse(why);
}

} // namespace

int torture_command(const torture_options& options) {
    return torture_job(options).run();
}

} // namespace nmisafe::tool
