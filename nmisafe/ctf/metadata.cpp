// SPDX-License-Identifier: MIT
#include "nmisafe/ctf/metadata.hpp"

namespace nmisafe::ctf {

namespace {

constexpr uint64_t bits_of_byte = 8;

constexpr struct {
    const char* name;
    kind type;
} integers[] = {{"u8", kind::u8}, {"u16", kind::u16}, {"u32", kind::u32}, {"u64", kind::u64},
                {"i8", kind::i8}, {"i16", kind::i16}, {"i32", kind::i32}, {"i64", kind::i64}};

void write_integer(text& to, kind type, base shown) {
    to << "integer { size = " << size_of(type) * bits_of_byte
       << "; align = 8; signed = " << (is_signed(type) ? "true" : "false")
       << "; base = " << uint64_t{static_cast<uint8_t>(shown)} << "; }";
}

void write_uuid(text& to, const uint8_t* uuid) {
    for (unsigned i = 0; i < 16; ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            to << '-';
        to.hexadecimal(uuid[i]);
    }
}

void write_begin(text& to, const trace& about) {
    to << "/* CTF 1.8 */\n\n";
    for (const auto& one : integers) {
        to << "typealias ";
        write_integer(to, one.type, base::decimal);
        to << " := " << one.name << ";\n";
    }
    to << "\ntrace {\n    major = 1;\n    minor = 8;\n    uuid = \"";
    write_uuid(to, about.uuid);
    to << "\";\n    byte_order = le;\n"
          "    packet.header := struct { u32 magic; u8 uuid[16]; u32 stream_id; };\n};\n\n"
          "env {\n    domain = \""
       << about.domain << "\";\n    tracer_name = \"" << about.tracer_name
       << "\";\n    tracer_major = 0;\n    tracer_minor = 1;\n};\n\n"
          "clock {\n    name = trace_clock;\n    freq = "
       << about.frequency << ";\n    offset = " << about.clock_offset
       << ";\n    precision = 1;\n    absolute = false;\n};\n\n";
}

void write_context(text& to) {
    to << "    event.context := struct {\n        enum : u8 {";
    for (unsigned i = 0; i < context_count; ++i)
        to << (i == 0 ? " " : ", ") << context_names[i] << " = " << uint64_t{i};
    to << " } context;\n        u8 depth;\n    };\n";
}

// The packets' context is what follows the stream's id in ring_buffer's packet header; events begin
// as its compact and extended headers do.
void write_stream(text& to, const trace& about) {
    to << "typealias integer { size = 27; align = 1; signed = false; map = "
          "clock.trace_clock.value; }"
          " := time_27;\n"
          "typealias integer { size = 64; align = 8; signed = false; map = "
          "clock.trace_clock.value; }"
          " := time_64;\n\n"
          "stream {\n    id = "
       << uint64_t{about.stream_id}
       << ";\n    packet.context := struct {\n"
          "        time_64 timestamp_begin;\n        time_64 timestamp_end;\n"
          "        u64 content_size;\n        u64 packet_size;\n        u64 packet_seq_num;\n"
          "        u64 events_discarded;\n        u64 lost_full;\n        u64 lost_wrap;\n"
          "        u64 lost_too_big;\n        u64 lost_nesting;\n        u32 cpu_id;\n    };\n"
          "    event.header := struct {\n"
          "        enum : integer { size = 5; align = 1; signed = false; } {\n"
          "            compact = 0 ... 30, extended = 31\n        } id;\n"
          "        variant <id> {\n"
          "            struct { time_27 timestamp; } compact;\n"
          "            struct { u32 id; time_64 timestamp; } extended;\n"
          "        } v;\n    } align(8);\n";
    if (about.has_context)
        write_context(to);
    to << "};\n";
}

// An underscore in front, which readers take away: a name may be a keyword.
void write_field(text& to, const field& one) {
    to << "        ";
    if (one.type == kind::string) {
        to << "string { encoding = UTF8; }";
    } else if (one.type == kind::addresses) {
        to << "u8 __" << one.name << "_length;\n        ";
        write_integer(to, kind::u64, base::hexadecimal);
    } else {
        write_integer(to, one.type, one.shown);
    }
    to << " _" << one.name;
    if (one.type == kind::addresses)
        to << "[ __" << one.name << "_length ]";
    to << ";\n";
}

void write_event(text& to, const event& one, uint32_t stream_id) {
    to << "\nevent {\n    name = \"" << one.name << "\";\n    id = " << uint64_t{one.id}
       << ";\n    stream_id = " << uint64_t{stream_id} << ";\n    fields := struct {\n";
    for (size_t i = 0; i < one.field_count; ++i) {
        write_field(to, one.fields[i]);
    }
    to << "    };\n};\n";
}

} // namespace

bool write_metadata(text& to, const trace& about, const event* const* events, size_t event_count) {
    write_begin(to, about);
    write_stream(to, about);
    for (size_t i = 0; i < event_count; ++i)
        write_event(to, *events[i], about.stream_id);
    return to.is_complete();
}

} // namespace nmisafe::ctf
