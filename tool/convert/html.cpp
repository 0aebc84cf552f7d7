// SPDX-License-Identifier: MIT
// The page of tool/views. All of the trace is in memory until it is written.
#include <fmt/format.h>
#include <map>
#include <unordered_map>

#include "tool/convert/chains.hpp"
#include "tool/convert/sink.hpp"
#include "tool/convert/timeline.hpp"
#include "tool/views/view_data.hpp"

namespace nmisafe::tool {

namespace {

bool is_text(const field_type& field) {
    return field.type == ctf::kind::string || field.type == ctf::kind::addresses ||
           field.shown != ctf::base::decimal;
}

class html_sink final : public trace_sink {
  public:
    explicit html_sink(const conversion& how) : how_(how) {
        const trace_description& about = how.folder.description();
        page_.title = about.system.empty() ? "nmisafe trace" : about.system;
        page_.facts = {{"width", fmt::format("{} bits", about.width)}, {"trace", about.ended}};
    }

    void event(const trace_event& one) override {
        ended_.clear();
        timeline_.add(one, ended_);
        add_spans(one.cpu, ended_);
        if (one.type->name == "sched_switch") {
            begin_tasks(one);
        }
        add_event(one);
        first_time_.try_emplace(one.cpu, one.time);
        if (has_chain(*one.type)) {
            std::vector<std::string> calls;
            for (const chain_frame& frame : chain_of(one, how_.names)) {
                calls.push_back(frame.name);
            }
            page_.add_calls(calls.empty() ? std::vector<std::string>{"[no chain]"} : calls);
        }
    }

    void loss(const trace_loss& one) override {
        if (one.is_before || one.all_events() + one.packets == 0) {
            return;
        }
        std::string channel = how_.folder.streams().at(one.stream);
        if (one.packets != 0) {
            channel += fmt::format(", {} packets that were overwritten or not taken", one.packets);
        }
        page_.add_loss(one.cpu, nanoseconds(one.begin), nanoseconds(one.end), one.all_events(),
                       channel);
    }

    void finish() override {
        for (const timeline::of_cpu& one : timeline_.finish()) {
            add_spans(one.cpu, one.ended);
        }
        for (const auto& [cpu, spans] : early_) {
            for (const span& one : spans) {
                page_.add_span(cpu, one);
            }
        }
        how_.out.buffer() += timeline_page(page_);
        how_.out.write_when_full();
    }

  private:
    std::uint64_t nanoseconds(std::uint64_t time) const { return how_.folder.nanoseconds(time); }

    // Until a CPU's first sched_switch nothing says which task runs: the spans wait for a row below them.
    void add_spans(std::uint32_t cpu, const std::vector<span>& spans) {
        for (span one : spans) {
            one.begin = nanoseconds(one.begin);
            one.end = nanoseconds(one.end);
            if (has_tasks_.contains(cpu)) {
                page_.add_span(cpu, one);
            } else {
                early_[cpu].push_back(std::move(one));
            }
        }
    }

    void begin_tasks(const trace_event& one) {
        if (has_tasks_.contains(one.cpu)) {
            return;
        }
        has_tasks_[one.cpu] = true;
        for (span& early : early_[one.cpu]) {
            ++early.row;
            page_.add_span(one.cpu, early);
        }
        early_.erase(one.cpu);
        field_value name;
        if (const auto first = first_time_.find(one.cpu);
            first != first_time_.end() && find_field(one, "prev_comm", name)) {
            page_.add_span(one.cpu,
                           {nanoseconds(first->second), nanoseconds(one.time), 0, span_kind::task,
                            ctf::context::thread, std::string(name.text)});
        }
    }

    std::uint32_t kind_of(const event_type& type) {
        const auto [found, is_new] = kinds_.try_emplace(&type, 0);
        if (is_new) {
            std::vector<view_field> fields;
            for (const field_type& field : type.fields) {
                fields.push_back({field.name, is_text(field)});
            }
            found->second = page_.add_kind(type.name, fields);
        }
        return found->second;
    }

    void add_event(const trace_event& one) {
        values_.clear();
        texts_.resize(one.type->fields.size());
        field_reader fields(one);
        for (std::size_t i = 0; i < one.type->fields.size(); ++i) {
            const field_type& field = one.type->fields[i];
            const field_value value = fields.next(field.type);
            if (!is_text(field)) {
                values_.push_back(ctf::is_signed(field.type)
                                      ? view_value(static_cast<std::int64_t>(value.number))
                                      : view_value(value.number));
                continue;
            }
            std::string& text = texts_[i];
            text.clear();
            if (field.type == ctf::kind::string) {
                text = value.text;
            } else if (field.type == ctf::kind::addresses) {
                for (std::size_t k = 0; k < value.address_count(); ++k) {
                    text += k == 0 ? "" : " < ";
                    text += how_.names.name(value.address(k), one.time, symbols::role::caller);
                }
            } else {
                append_number(text, field, value.number);
                if (value.number != 0 && how_.names.is_code(value.number, one.time)) {
                    text += ' ';
                    text += how_.names.name(value.number, one.time);
                }
            }
            values_.emplace_back(std::string_view(text));
        }
        page_.add_event(one.cpu, nanoseconds(one.time), kind_of(*one.type),
                        {one.context, one.depth}, values_);
    }

    conversion how_;
    view_data page_;
    timeline timeline_;
    std::vector<span> ended_;
    std::map<std::uint32_t, std::vector<span>> early_; // by their CPU
    std::map<std::uint32_t, bool> has_tasks_;
    std::map<std::uint32_t, std::uint64_t> first_time_;
    std::unordered_map<const event_type*, std::uint32_t> kinds_;
    std::vector<view_value> values_;
    std::vector<std::string> texts_; // what values_ point into
};

} // namespace

std::unique_ptr<trace_sink> make_html_sink(const conversion& how) {
    return std::make_unique<html_sink>(how);
}

} // namespace nmisafe::tool
