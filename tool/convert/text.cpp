// SPDX-License-Identifier: MIT
// A line an event: "1700000000.123456789 cpu 0 nmi/2 page_fault_kernel: address=0x10, ip=0xc0100012 <f+0x2>".
#include "tool/convert/sink.hpp"

namespace nmisafe::tool {

namespace {

constexpr std::uint64_t second = 1'000'000'000;

class text_sink final : public trace_sink {
  public:
    explicit text_sink(const conversion& how) : how_(how) {}

    void event(const trace_event& one) override {
        std::string& line = how_.out.buffer();
        begin(line, one.time, one.cpu);
        line += ctf::context_names[static_cast<unsigned>(one.context)];
        line += '/';
        append_decimal(line, one.depth);
        line += ' ';
        line += one.type->name;
        field_reader fields(one);
        const char* between = ": ";
        for (const field_type& field : one.type->fields) {
            line += between;
            between = ", ";
            line += field.name;
            line += '=';
            append_value(line, field, fields.next(field.type), one.time);
        }
        line += '\n';
        how_.out.write_when_full();
    }

    void loss(const trace_loss& one) override {
        std::string& line = how_.out.buffer();
        begin(line, one.time, one.cpu);
        line += how_.folder.streams()[one.stream];
        if (one.is_before) {
            line += ": the recording begins here\n";
            return;
        }
        line += ": lost ";
        append_decimal(line, one.all_events());
        line += " events";
        for (unsigned i = 0; i < ring_buffer::loss_count; ++i) {
            if (one.events[i] != 0) {
                line += ' ';
                line += loss_names[i];
                line += '=';
                append_decimal(line, one.events[i]);
            }
        }
        if (one.packets != 0) {
            line += ", and ";
            append_decimal(line, one.packets);
            line += " packets";
        }
        line += " since ";
        append_time(line, one.begin);
        line += '\n';
        how_.out.write_when_full();
    }

    void finish() override {}

  private:
    void append_time(std::string& to, std::uint64_t time) {
        const std::uint64_t all = how_.folder.real_nanoseconds(time);
        if (all / second != last_second_) {
            last_second_ = all / second;
            seconds_.clear();
            append_decimal(seconds_, last_second_);
            seconds_ += '.';
        }
        to += seconds_;
        char digits[9];
        std::uint64_t rest = all % second;
        for (unsigned i = 9; i-- != 0; rest /= 10) {
            digits[i] = static_cast<char>('0' + rest % 10);
        }
        to.append(digits, sizeof digits);
    }

    void begin(std::string& line, std::uint64_t time, std::uint32_t cpu) {
        append_time(line, time);
        line += " cpu ";
        append_decimal(line, cpu);
        line += ' ';
    }

    void append_address(std::string& to, std::uint64_t address, std::uint64_t time) {
        append_hexadecimal(to, address);
        if (how_.names.is_code(address, time)) {
            if (const place_in_code& found = how_.names.find(address, time);
                !found.function.empty()) {
                to += " <";
                to += found.function;
                to += '+';
                append_hexadecimal(to, found.offset);
                to += '>';
            }
        }
    }

    void append_value(std::string& to, const field_type& field, const field_value& value,
                      std::uint64_t time) {
        if (field.type == ctf::kind::string) {
            append_json(to, value.text);
        } else if (field.type == ctf::kind::addresses) {
            to += '[';
            for (std::size_t i = 0; i < value.address_count(); ++i) {
                to += i == 0 ? "" : ", ";
                append_address(to, value.address(i), time);
            }
            to += ']';
        } else if (field.type == ctf::kind::u64 && field.shown == ctf::base::hexadecimal) {
            append_address(to, value.number, time);
        } else {
            append_number(to, field, value.number);
        }
    }

    conversion how_;
    std::uint64_t last_second_ = ~std::uint64_t{0};
    std::string seconds_;
};

} // namespace

std::unique_ptr<trace_sink> make_text_sink(const conversion& how) {
    return std::make_unique<text_sink>(how);
}

} // namespace nmisafe::tool
