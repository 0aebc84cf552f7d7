// SPDX-License-Identifier: MIT
// The JSON of Chrome's trace viewer: a process for each CPU, in it a thread for each track. Times are of the
// trace's clock, in microseconds with three decimals.
#include <set>

#include "tool/convert/sink.hpp"
#include "tool/convert/timeline.hpp"

namespace nmisafe::tool {

namespace {

class chrome_sink final : public trace_sink {
  public:
    explicit chrome_sink(const conversion& how) : how_(how) {
        how_.out.buffer() += "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";
    }

    void event(const trace_event& one) override {
        ended_.clear();
        const bool is_shown = timeline_.add(one, ended_);
        write_spans(one.cpu);
        if (is_shown) {
            const track on = timeline_.innermost(one);
            begin("i", one.type->name, on, one.time);
            std::string& to = how_.out.buffer();
            to += ",\"s\":\"t\",\"args\":{";
            append_fields(to, one);
            to += "}}";
        }
        how_.out.write_when_full();
    }

    void loss(const trace_loss& one) override {
        if (one.is_before) {
            return;
        }
        std::string& to = how_.out.buffer();
        begin("i", "lost events", {one.cpu, 0, span_kind::context, ctf::context::thread}, one.time);
        to += ",\"s\":\"p\",\"args\":{\"events\":";
        append_decimal(to, one.all_events());
        to += ",\"packets\":";
        append_decimal(to, one.packets);
        to += "}}";
    }

    void finish() override {
        for (timeline::of_cpu& one : timeline_.finish()) {
            ended_ = std::move(one.ended);
            write_spans(one.cpu);
        }
        how_.out.buffer() += "\n]}\n";
    }

  private:
    void begin_record() {
        how_.out.buffer() += has_record_ ? ",\n{" : "\n{";
        has_record_ = true;
    }

    void write_metadata(const char* what, const track& on, std::string_view name,
                        std::uint32_t rank) {
        begin_record();
        std::string& to = how_.out.buffer();
        to += "\"ph\":\"M\",\"name\":\"";
        to += what;
        to += "\",\"pid\":";
        append_decimal(to, on.cpu);
        to += ",\"tid\":";
        append_decimal(to, on.number());
        to += ",\"args\":{";
        if (name.empty()) {
            to += "\"sort_index\":";
            append_decimal(to, rank);
        } else {
            to += "\"name\":";
            append_json(to, name);
        }
        to += "}}";
    }

    void know(const track& on) {
        if (!tracks_.insert(on).second) {
            return;
        }
        if (cpus_.insert(on.cpu).second) {
            write_metadata("process_name", on, "CPU " + std::to_string(on.cpu), 0);
            write_metadata("process_sort_index", on, {}, on.cpu);
        }
        write_metadata("thread_name", on, on.name(), 0);
        write_metadata("thread_sort_index", on, {}, on.number());
    }

    void append_time(std::string& to, std::uint64_t nanoseconds) {
        append_decimal(to, nanoseconds / 1000);
        const std::uint64_t rest = nanoseconds % 1000;
        to += '.';
        to += static_cast<char>('0' + rest / 100);
        to += static_cast<char>('0' + rest / 10 % 10);
        to += static_cast<char>('0' + rest % 10);
    }

    void begin(const char* phase, std::string_view name, const track& on, std::uint64_t time) {
        know(on);
        begin_record();
        std::string& to = how_.out.buffer();
        to += "\"ph\":\"";
        to += phase;
        to += "\",\"name\":";
        append_json(to, name);
        to += ",\"pid\":";
        append_decimal(to, on.cpu);
        to += ",\"tid\":";
        append_decimal(to, on.number());
        to += ",\"ts\":";
        append_time(to, how_.folder.nanoseconds(time));
    }

    void write_spans(std::uint32_t cpu) {
        for (const span& one : ended_) {
            begin("X", one.name, track_of(cpu, one), one.begin);
            std::string& to = how_.out.buffer();
            to += ",\"dur\":";
            append_time(to, how_.folder.nanoseconds(one.end) - how_.folder.nanoseconds(one.begin));
            to += '}';
        }
    }

    void append_fields(std::string& to, const trace_event& one) {
        field_reader fields(one);
        const char* between = "";
        for (const field_type& field : one.type->fields) {
            to += between;
            between = ",";
            append_json(to, field.name);
            to += ':';
            const field_value value = fields.next(field.type);
            if (field.type == ctf::kind::string) {
                append_json(to, value.text);
            } else if (field.type == ctf::kind::addresses) {
                to += '[';
                for (std::size_t i = 0; i < value.address_count(); ++i) {
                    to += i == 0 ? "" : ",";
                    append_json(to,
                                how_.names.name(value.address(i), one.time, symbols::role::caller));
                }
                to += ']';
            } else if (field.shown != ctf::base::decimal) {
                std::string number;
                append_number(number, field, value.number);
                append_json(to, how_.names.is_code(value.number, one.time)
                                    ? how_.names.name(value.number, one.time)
                                    : number);
            } else {
                append_number(to, field, value.number);
            }
        }
    }

    conversion how_;
    timeline timeline_;
    std::vector<span> ended_;
    std::set<track> tracks_;
    std::set<std::uint32_t> cpus_;
    bool has_record_ = false;
};

} // namespace

std::unique_ptr<trace_sink> make_chrome_sink(const conversion& how) {
    return std::make_unique<chrome_sink>(how);
}

} // namespace nmisafe::tool
