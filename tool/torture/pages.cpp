// SPDX-License-Identifier: MIT
// The report as a page that needs nothing else, and as JUnit's XML.
#include <fmt/format.h>

#include "tool/torture/report.hpp"

namespace nmisafe::tool::torture {

namespace {

// For HTML and XML; control characters, which XML has none of, become spaces.
std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
        case '&':
            out += "&amp;";
            break;
        case '<':
            out += "&lt;";
            break;
        case '>':
            out += "&gt;";
            break;
        case '"':
            out += "&quot;";
            break;
        default:
            out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
        }
    }
    return out;
}

constexpr std::string_view head = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>nmisafe torture</title><style>
:root{color-scheme:light dark;--good:#2a8a4a;--bad:#c62828;--note:#b07a00;--line:#8884}
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse}td,th{padding:.15rem .6rem;text-align:left;border-bottom:1px solid var(--line)}
code,pre,.path td{font-family:ui-monospace,monospace;font-size:13px}.path td{border:0;padding:0 .6rem}
.same{color:var(--good)}.bad{color:var(--bad);font-weight:600}.note{color:var(--note)}
pre{overflow-x:auto;background:#8881;padding:.6rem}details{margin:.6rem 0}summary{cursor:pointer}
</style></head><body><h1>nmisafe torture</h1>
)";

std::string_view style_of(const torture_report& report, const judged_boundary& one) {
    return one.came_to.what == verdict::same ? "same" : report.is_finding(one) ? "bad" : "note";
}

std::string registers_table(const judged_boundary& one) {
    std::string text = "<table class=path>";
    unsigned column = 0;
    for (const auto& [name, value] : one.what.at) {
        text += fmt::format("{}<td>{}</td><td>{:#018x}</td>", column++ % 4 == 0 ? "<tr>" : "", name,
                            value);
    }
    return text + "</table>";
}

std::string anomaly_part(const torture_report& report, const sweep_report& sweep,
                         const judged_boundary& one, const names& known) {
    const auto instruction = sweep.disassembly.find(one.what.pc);
    std::string text = fmt::format(
        "<details id=\"{}-{}-{}\"><summary><span class={}>{}</span> before <code>{}</code> "
        "<code>{}</code>, step {}</summary>\n",
        escaped(sweep.path), one.what.step, one.what.second.value_or(0), style_of(report, one),
        to_string(one.came_to.what), escaped(known.name(one.what.pc)),
        instruction == sweep.disassembly.end() ? "" : escaped(instruction->second), one.what.step);
    text += fmt::format("<p>{} ({}). {}</p>\n", escaped(one.came_to.why), meaning(one.came_to.what),
                        one.confirmed ? "A second run has shown it too."
                                      : "It was not run a second time.");
    text += "<pre>" + escaped(one.repeat) + "</pre>\n";
    if (!one.what.at.empty()) {
        text += "<p>Registers where it was raised:</p>" + registers_table(one);
    }
    for (const entry_seen& entry : one.what.seen) {
        std::string stack;
        for (std::size_t i = 0; i < entry.stack.size(); ++i) {
            stack += fmt::format("{:#018x}: {:#018x}\n",
                                 entry.frame + i * (sweep.width == 64 ? 8 : 4), entry.stack[i]);
        }
        text += fmt::format(
            "<p>Entered{}{}, with IP <code>{}</code>, SP {:#x}; the stack, from its "
            "frame on:</p><pre>{}</pre>\n",
            entry.nested ? ", while it was open" : "", entry.overwritten ? ", on its frame" : "",
            escaped(known.name(entry.ip)), entry.sp, stack);
    }
    return text + "</details>\n";
}

// The path once, with the mark of each boundary before its instruction.
std::string path_part(const torture_report& report, const sweep_report& sweep, const names& known) {
    std::map<std::uint64_t, const judged_boundary*> worst_of; // a step's
    for (const judged_boundary& one : sweep.boundaries) {
        const judged_boundary*& worst = worst_of[one.what.step];
        if (worst == nullptr || worst->came_to.what == verdict::same) {
            worst = &one;
        }
    }
    std::string text =
        "<details><summary>The path, instruction by instruction</summary><table class=path>\n";
    for (std::size_t step = 0; step < sweep.walked.size(); ++step) {
        const std::uint64_t pc = sweep.walked[step];
        const auto found = worst_of.find(step);
        // In a loop a pass may have taken another way to that step.
        const bool is_here = found != worst_of.end() && found->second->what.pc == pc;
        const auto instruction = sweep.disassembly.find(pc);
        text +=
            fmt::format("<tr><td>{}</td><td class={}>{}</td><td>{}</td><td>{}</td></tr>\n", step,
                        is_here ? style_of(report, *found->second) : "note",
                        !is_here ? "elsewhere" : to_string(found->second->came_to.what),
                        escaped(known.name(pc)),
                        instruction == sweep.disassembly.end() ? "" : escaped(instruction->second));
    }
    return text + "</table></details>\n";
}

} // namespace

std::string report_page(const torture_report& report, const names& known) {
    constexpr std::size_t most_anomalies = 500;
    std::string text(head);
    text += fmt::format(
        "<p>{} on {}{}</p>\n<pre>{}</pre>\n", escaped(report.kernel), escaped(report.emulator),
        report.interrupted ? "; interrupted: this is what was done" : "", escaped(report.command));
    text += "<table><tr><th>path<th>raised<th>steps<th>boundaries<th>findings<th>verdicts\n";
    for (const sweep_report& sweep : report.sweeps) {
        std::string verdicts;
        for (const auto& [which, count] : sweep.verdicts()) {
            verdicts +=
                fmt::format("{}<span title=\"{}\">{} {}</span>", verdicts.empty() ? "" : ", ",
                            meaning(which), count, to_string(which));
        }
        text += fmt::format("<tr><td>{}<td>{}<td>{}<td>{}<td class={}>{}<td>{}{}\n",
                            escaped(sweep.path), escaped(sweep.raised), sweep.walked.size(),
                            sweep.boundaries.size(),
                            report.findings(sweep) != 0 ? "bad"
                            : sweep.error.empty()       ? "same"
                                                        : "note",
                            report.findings(sweep), verdicts,
                            sweep.error.empty() ? ""
                                                : (verdicts.empty() ? "" : "<br>") +
                                                      ("not complete: " + escaped(sweep.error)));
    }
    text += "</table>\n";
    for (const sweep_report& sweep : report.sweeps) {
        text += fmt::format("<h2>{}</h2>\n", escaped(sweep.path));
        std::size_t shown = 0, all = 0;
        for (const judged_boundary& one : sweep.boundaries) {
            if (one.came_to.what != verdict::same && ++all <= most_anomalies) {
                text += anomaly_part(report, sweep, one, known);
                ++shown;
            }
        }
        if (all > shown) {
            text += fmt::format("<p>and {} more: they are in report.json.</p>\n", all - shown);
        }
        text += path_part(report, sweep, known);
    }
    return text + "</body></html>\n";
}

std::string junit_xml(const torture_report& report, const names& known) {
    std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n";
    for (const sweep_report& sweep : report.sweeps) {
        const bool is_broken = !sweep.error.empty();
        text += fmt::format("<testsuite name=\"torture.{}\" tests=\"{}\" failures=\"{}\" "
                            "errors=\"{}\" time=\"{:.3f}\">\n",
                            escaped(sweep.path), sweep.boundaries.size() + (is_broken ? 1 : 0),
                            report.findings(sweep), is_broken ? 1 : 0, sweep.seconds);
        for (const judged_boundary& one : sweep.boundaries) {
            const std::string name =
                fmt::format("step {}{} {}", one.what.step,
                            one.what.second ? fmt::format(" and {}", *one.what.second) : "",
                            known.name(one.what.pc));
            text += fmt::format("<testcase classname=\"torture.{}\" name=\"{}\"",
                                escaped(sweep.path), escaped(name));
            text += report.is_finding(one)
                        ? fmt::format("><failure message=\"{}\">{}\n{}</failure></testcase>\n",
                                      to_string(one.came_to.what), escaped(one.came_to.why),
                                      escaped(one.repeat))
                        : "/>\n";
        }
        if (is_broken) {
            text += fmt::format("<testcase classname=\"torture.{}\" name=\"all of it\"><error "
                                "message=\"{}\"/></testcase>\n",
                                escaped(sweep.path), escaped(sweep.error));
        }
        text += "</testsuite>\n";
    }
    return text + "</testsuites>\n";
}

} // namespace nmisafe::tool::torture
