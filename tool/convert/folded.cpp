// SPDX-License-Identifier: MIT
// Stacks of samples, outermost first, and how often each was seen: "main;work;spin 12". [flamegraph.pl]
// And as profiles of speedscope, one a CPU. Memory grows with the different stacks, not with their number.
#include <algorithm>
#include <map>

#include "tool/convert/chains.hpp"
#include "tool/convert/sink.hpp"

namespace nmisafe::tool {

namespace {

class folded_sink final : public trace_sink {
  public:
    explicit folded_sink(const conversion& how) : how_(how) {}

    void event(const trace_event& one) override {
        if (!has_chain(*one.type)) {
            return;
        }
        std::string stack;
        for (const chain_frame& frame : chain_of(one, how_.names)) {
            stack += stack.empty() ? "" : ";";
            // These two separate; C++ has blanks in its names, which are no trouble.
            std::string name = frame.name;
            std::replace(name.begin(), name.end(), ';', ':');
            std::replace(name.begin(), name.end(), '\n', ' ');
            stack += name;
        }
        ++stacks_[stack.empty() ? "[no chain]" : stack];
    }
    void loss(const trace_loss&) override {}
    void finish() override {
        for (const auto& [stack, count] : stacks_) {
            std::string& line = how_.out.buffer();
            line += stack;
            line += ' ';
            append_decimal(line, count);
            line += '\n';
            how_.out.write_when_full();
        }
    }

  private:
    conversion how_;
    std::map<std::string, std::uint64_t> stacks_;
};

// A sample lasts until the next of its CPU.
class speedscope_writer final : public speedscope_sink {
  public:
    explicit speedscope_writer(const conversion& how) : how_(how) {
        how_.out.buffer() += "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\","
                             "\"exporter\":\"nmisafe\",\"profiles\":[";
    }

    void begin(std::uint32_t cpu) override {
        end_profile();
        cpu_ = cpu;
        has_profile_ = false;
    }

    void event(const trace_event& one) override {
        if (!has_chain(*one.type) || one.cpu != cpu_) {
            return;
        }
        std::string& to = how_.out.buffer();
        if (!has_profile_) {
            to += has_any_ ? ",\n" : "\n";
            to += "{\"type\":\"sampled\",\"name\":\"CPU ";
            append_decimal(to, cpu_);
            to += "\",\"unit\":\"none\",\"samples\":[";
            has_profile_ = has_any_ = true;
            count_ = 0;
        }
        to += count_ == 0 ? "[" : ",\n[";
        ++count_;
        const char* between = "";
        for (const chain_frame& frame : chain_of(one, how_.names)) {
            to += between;
            between = ",";
            append_decimal(to, frames_.emplace(frame, frames_.size()).first->second);
        }
        to += ']';
        how_.out.write_when_full();
    }
    void loss(const trace_loss&) override {}

    void finish() override {
        end_profile();
        std::string& to = how_.out.buffer();
        std::vector<const chain_frame*> ordered(frames_.size());
        for (const auto& [frame, number] : frames_) {
            ordered[number] = &frame;
        }
        to += "],\n\"shared\":{\"frames\":[";
        const char* between = "\n";
        for (const chain_frame* frame : ordered) {
            to += between;
            between = ",\n";
            to += "{\"name\":";
            append_json(to, frame->name);
            if (!frame->file.empty()) {
                to += ",\"file\":";
                append_json(to, frame->file);
                to += ",\"line\":";
                append_decimal(to, static_cast<std::uint64_t>(std::max(frame->line, 0)));
            }
            to += '}';
            how_.out.write_when_full();
        }
        to += "]}}\n";
    }

  private:
    // Each sample counts once: the time between two is the sampler's, not the code's.
    void end_profile() {
        if (!has_profile_) {
            return;
        }
        std::string& to = how_.out.buffer();
        to += "],\"weights\":[";
        for (std::uint64_t i = 0; i < count_; ++i) {
            to += i == 0 ? "1" : ",1";
            how_.out.write_when_full();
        }
        to += "],\"startValue\":0,\"endValue\":";
        append_decimal(to, count_);
        to += '}';
        has_profile_ = false;
    }

    conversion how_;
    std::map<chain_frame, std::uint64_t> frames_;
    std::uint32_t cpu_ = 0;
    std::uint64_t count_ = 0;
    bool has_profile_ = false;
    bool has_any_ = false;
};

} // namespace

std::unique_ptr<trace_sink> make_folded_sink(const conversion& how) {
    return std::make_unique<folded_sink>(how);
}

std::unique_ptr<speedscope_sink> make_speedscope_sink(const conversion& how) {
    return std::make_unique<speedscope_writer>(how);
}

} // namespace nmisafe::tool
