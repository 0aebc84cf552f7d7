// SPDX-License-Identifier: MIT
// Perfetto's own format: protocol buffers, by the numbers of its public descriptions (protos/perfetto/trace).
// A group for each CPU, in it a track for each context and row, the outermost first. Times are of the trace's
// clock, in nanoseconds.
#include <protozero/pbf_writer.hpp>
#include <set>

#include "tool/convert/sink.hpp"
#include "tool/convert/timeline.hpp"

namespace nmisafe::tool {

namespace {

using protozero::pbf_writer;

constexpr unsigned trace_packet = 1; // of the trace

namespace packet {
constexpr unsigned timestamp = 8;
constexpr unsigned sequence = 10;
constexpr unsigned track_event = 11;
constexpr unsigned previous_dropped = 42;
constexpr unsigned track_descriptor = 60;
} // namespace packet

namespace descriptor {
constexpr unsigned uuid = 1;
constexpr unsigned name = 2;
constexpr unsigned parent = 5;
constexpr unsigned child_ordering = 11;
constexpr unsigned rank = 12;
constexpr int by_rank = 3; // EXPLICIT
} // namespace descriptor

namespace event_field {
constexpr unsigned annotations = 4;
constexpr unsigned type = 9;
constexpr unsigned track = 11;
constexpr unsigned categories = 22;
constexpr unsigned name = 23;
constexpr int begin = 1;
constexpr int end = 2;
constexpr int instant = 3;
} // namespace event_field

namespace annotation {
constexpr unsigned number = 3; // unsigned
constexpr unsigned signed_number = 4;
constexpr unsigned text = 6;
constexpr unsigned pointer = 7;
constexpr unsigned name = 10;
} // namespace annotation

constexpr std::uint64_t cpu_track(std::uint32_t cpu) {
    return (std::uint64_t{cpu} + 1) << 32;
}

class perfetto_sink final : public trace_sink {
  public:
    explicit perfetto_sink(const conversion& how) : how_(how) {}

    void event(const trace_event& one) override {
        ended_.clear();
        const bool is_shown = timeline_.add(one, ended_);
        write_spans(one.cpu);
        if (is_shown) {
            write_event(event_field::instant, timeline_.innermost(one), one.time, one.type->name,
                        "event", &one);
        }
        how_.out.write_when_full();
    }

    void loss(const trace_loss& one) override {
        if (one.is_before) {
            return;
        }
        const track on{one.cpu, 0, span_kind::context, ctf::context::thread};
        know(on);
        has_dropped_ = true;
        write_event(event_field::instant, on, one.time,
                    "lost " + std::to_string(one.all_events()) + " events, " +
                        std::to_string(one.packets) + " packets",
                    "loss", nullptr);
    }

    void finish() override {
        for (timeline::of_cpu& one : timeline_.finish()) {
            ended_ = std::move(one.ended);
            write_spans(one.cpu);
        }
    }

  private:
    void write_packet(const std::string& bytes) {
        pbf_writer trace(how_.out.buffer());
        trace.add_message(trace_packet, bytes);
    }

    void describe(std::uint64_t uuid, std::string_view name, std::uint64_t parent,
                  std::uint32_t rank) {
        std::string bytes;
        {
            pbf_writer all(bytes);
            all.add_uint32(packet::sequence, 1);
            pbf_writer one(all, packet::track_descriptor);
            one.add_uint64(descriptor::uuid, uuid);
            one.add_string(descriptor::name, name.data(), name.size());
            if (parent != 0) {
                one.add_uint64(descriptor::parent, parent);
            } else {
                one.add_enum(descriptor::child_ordering, descriptor::by_rank);
            }
            one.add_int32(descriptor::rank, static_cast<std::int32_t>(rank));
        }
        write_packet(bytes);
    }

    void know(const track& on) {
        if (!tracks_.insert(on).second) {
            return;
        }
        if (cpus_.insert(on.cpu).second) {
            describe(cpu_track(on.cpu), "CPU " + std::to_string(on.cpu), 0, on.cpu);
        }
        describe(cpu_track(on.cpu) + on.number(), on.name(), cpu_track(on.cpu), on.number());
    }

    void write_event(int type, const track& on, std::uint64_t time, std::string_view name,
                     const char* category, const trace_event* with_fields) {
        know(on);
        bytes_.clear();
        {
            pbf_writer all(bytes_);
            all.add_uint64(packet::timestamp, how_.folder.nanoseconds(time));
            all.add_uint32(packet::sequence, 1);
            if (has_dropped_) {
                all.add_bool(packet::previous_dropped, true);
                has_dropped_ = false;
            }
            pbf_writer one(all, packet::track_event);
            one.add_enum(event_field::type, type);
            one.add_uint64(event_field::track, cpu_track(on.cpu) + on.number());
            if (type != event_field::end) {
                one.add_string(event_field::categories, category);
                one.add_string(event_field::name, name.data(), name.size());
            }
            if (with_fields != nullptr) {
                annotate(one, *with_fields);
            }
        }
        write_packet(bytes_);
    }

    void annotate(pbf_writer& to, const trace_event& event) {
        field_reader fields(event);
        for (const field_type& field : event.type->fields) {
            const field_value value = fields.next(field.type);
            pbf_writer one(to, event_field::annotations);
            one.add_string(annotation::name, field.name);
            if (field.type == ctf::kind::string) {
                std::string text; // a string of protocol buffers is UTF-8
                append_json(text, value.text);
                one.add_string(annotation::text, text.data() + 1, text.size() - 2);
            } else if (field.type == ctf::kind::addresses) {
                std::string text;
                for (std::size_t i = 0; i < value.address_count(); ++i) {
                    text += i == 0 ? "" : "\n";
                    text += how_.names.name(value.address(i), event.time, symbols::role::caller);
                }
                one.add_string(annotation::text, text);
            } else if (how_.names.is_code(value.number, event.time)) {
                one.add_string(annotation::text, how_.names.name(value.number, event.time));
            } else if (field.shown == ctf::base::hexadecimal) {
                one.add_uint64(annotation::pointer, value.number);
            } else if (ctf::is_signed(field.type)) {
                one.add_int64(annotation::signed_number, static_cast<std::int64_t>(value.number));
            } else {
                one.add_uint64(annotation::number, value.number);
            }
        }
    }

    void write_spans(std::uint32_t cpu) {
        for (const span& one : ended_) {
            const track on = track_of(cpu, one);
            write_event(event_field::begin, on, one.begin, one.name, "context", nullptr);
            write_event(event_field::end, on, one.end, {}, "context", nullptr);
        }
    }

    conversion how_;
    timeline timeline_;
    std::vector<span> ended_;
    std::set<track> tracks_;
    std::set<std::uint32_t> cpus_;
    std::string bytes_;
    bool has_dropped_ = false;
};

} // namespace

std::unique_ptr<trace_sink> make_perfetto_sink(const conversion& how) {
    return std::make_unique<perfetto_sink>(how);
}

} // namespace nmisafe::tool
