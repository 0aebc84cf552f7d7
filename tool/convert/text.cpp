// SPDX-License-Identifier: MIT
// A line an event: "1700000000.123456789 cpu 0 nmi/2 page_fault_kernel: address=0x10, ip=0xc0100012 <f+0x2 at f.cpp:7>".
#include "tool/convert/line_buffer.hpp"
#include "tool/convert/sink.hpp"

namespace nmisafe::tool {

namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::size_t enough = 1 << 16;

// What stands in front of the values, which is the same in each event of a type.
struct event_texts {
    std::string name;                // " name"
    std::vector<std::string> fields; // ": first=", ", second="
};

event_texts texts_of(const event_type& type) {
    event_texts made{" " + type.name, {}};
    for (const field_type& field : type.fields) {
        made.fields.push_back((made.fields.empty() ? ": " : ", ") + field.name + "=");
    }
    return made;
}

class text_sink final : public trace_sink {
  public:
    explicit text_sink(const conversion& how) : how_(how) {
        const std::vector<event_type>& events = how.folder.description().events;
        first_ = events.data();
        for (const event_type& one : events) {
            texts_.push_back(texts_of(one));
        }
    }

    void event(const trace_event& one) override {
        begin(one.time, one.cpu);
        line_.put(ctf::context_names[static_cast<unsigned>(one.context)]);
        line_.put('/');
        line_.decimal(one.depth);
        const event_texts& texts = texts_[static_cast<std::size_t>(one.type - first_)];
        line_.put(texts.name);
        field_reader fields(one);
        const std::vector<field_type>& types = one.type->fields;
        for (std::size_t i = 0; i < types.size(); ++i) {
            line_.put(texts.fields[i]);
            put_value(types[i], fields.next(types[i].type), one.time);
        }
        end();
    }

    void loss(const trace_loss& one) override {
        begin(one.time, one.cpu);
        line_.put(how_.folder.streams()[one.stream]);
        if (one.is_before) {
            line_.put(": the recording begins here");
            end();
            return;
        }
        line_.put(": lost ");
        line_.decimal(one.all_events());
        line_.put(" events");
        for (unsigned i = 0; i < ring_buffer::loss_count; ++i) {
            if (one.events[i] != 0) {
                line_.put(' ');
                line_.put(loss_names[i]);
                line_.put('=');
                line_.decimal(one.events[i]);
            }
        }
        if (one.packets != 0) {
            line_.put(", and ");
            line_.decimal(one.packets);
            line_.put(" packets");
        }
        line_.put(" since ");
        put_time(one.begin);
        end();
    }

    void finish() override { flush(); }

  private:
    void put_time(std::uint64_t time) {
        const std::uint64_t all = how_.folder.real_nanoseconds(time);
        if (all - begin_of_second_ >= second) {
            begin_of_second_ = all / second * second;
        }
        line_.decimal(begin_of_second_ / second);
        line_.put('.');
        line_.nine_digits(static_cast<std::uint32_t>(all - begin_of_second_));
    }

    void begin(std::uint64_t time, std::uint32_t cpu) {
        put_time(time);
        line_.put(" cpu ");
        line_.decimal(cpu);
        line_.put(' ');
    }

    void end() {
        line_.put('\n');
        if (line_.text().size() >= enough) {
            flush();
        }
    }

    void flush() {
        how_.out.write(line_.text());
        line_.clear();
    }

    void put_address(std::uint64_t address, std::uint64_t time, symbols::role as) {
        line_.hexadecimal(address);
        if (!how_.names.is_code(address, time)) {
            return;
        }
        scratch_ = " <";
        if (how_.names.append_name(scratch_, address, time, as)) {
            scratch_ += '>';
            line_.put(scratch_);
        }
    }

    void put_value(const field_type& field, const field_value& value, std::uint64_t time) {
        if (field.type == ctf::kind::string) {
            scratch_.clear();
            append_json(scratch_, value.text);
            line_.put(scratch_);
        } else if (field.type == ctf::kind::addresses) {
            line_.put('[');
            for (std::size_t i = 0; i < value.address_count(); ++i) {
                line_.put(i == 0 ? "" : ", ");
                put_address(value.address(i), time, symbols::role::caller);
            }
            line_.put(']');
        } else if (field.type == ctf::kind::u64 && field.shown == ctf::base::hexadecimal) {
            put_address(value.number, time, symbols::role::instruction);
        } else if (field.shown == ctf::base::decimal && !ctf::is_signed(field.type)) {
            line_.decimal(value.number);
        } else {
            scratch_.clear();
            append_number(scratch_, field, value.number);
            line_.put(scratch_);
        }
    }

    conversion how_;
    const event_type* first_ = nullptr;
    std::vector<event_texts> texts_; // in the order of the description's events
    line_buffer line_;
    std::string scratch_;
    std::uint64_t begin_of_second_ = 0;
};

} // namespace

std::unique_ptr<trace_sink> make_text_sink(const conversion& how) {
    return std::make_unique<text_sink>(how);
}

} // namespace nmisafe::tool
