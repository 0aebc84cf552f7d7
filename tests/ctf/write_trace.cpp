// SPDX-License-Identifier: MIT
// Writes a trace of two CPUs, with nested events, gaps in time and losses, and says on standard
// output what is in it:
//
//     write_trace FOLDER [DAMAGE]
//
// With a damage the trace is not what it should be, and readers must notice.
#include "nmisafe/ctf/metadata.hpp"
#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/ring_buffer/read.hpp"
#include "nmisafe/ring_buffer/write.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

using namespace nmisafe;

namespace {

constexpr ctf::field serial_fields[] = {{"serial", ctf::kind::u32},
                                        {"value", ctf::kind::u64, ctf::base::hexadecimal}};
constexpr ctf::field mixed_fields[] = {{"serial", ctf::kind::u32},
                                       {"small", ctf::kind::i8},
                                       {"event", ctf::kind::i16},
                                       {"string", ctf::kind::string}};
constexpr ctf::event serial_event{1, "serial", serial_fields};
constexpr ctf::event mixed_event{1000, "mixed", mixed_fields};
constexpr const ctf::event* events[] = {&serial_event, &mixed_event};
constexpr uint8_t uuid[16] = {0xf0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

struct clock {
    static inline uint64_t now = 1'000'000;
    uint64_t read() const { return now += 10; }
};

std::string damage;
unsigned serial;
unsigned lost;

struct [[gnu::packed]] serial_payload {
    uint32_t serial;
    uint64_t value;
};

struct [[gnu::packed]] mixed_payload {
    uint32_t serial;
    int8_t small;
    int16_t event;
    char string[6];
};

template <typename Payload>
void finish(ring_buffer::header& in, const ring_buffer::reservation& event, const Payload& payload,
            const char* name) {
    if (!event) {
        ++lost;
        return;
    }
    std::memcpy(event.payload, &payload, sizeof payload);
    ring_buffer::commit(in, event);
    std::printf("%u %s\n", payload.serial, name);
}

void write_serial(ring_buffer::header& in, unsigned nested) {
    const auto event = ring_buffer::reserve(in, serial_event.id, sizeof(serial_payload), clock{});
    const serial_payload payload{serial++, 0x1234'5678'9abc'def0u};
    if (nested != 0)
        write_serial(in, nested - 1);
    finish(in, event, payload, "serial");
}

void write_mixed(ring_buffer::header& in) {
    const auto event = ring_buffer::reserve(in, mixed_event.id, sizeof(mixed_payload), clock{});
    finish(in, event, mixed_payload{serial++, -5, -300, "hello"}, "mixed");
}

void save(const std::string& path, const void* bytes, size_t size, const char* how) {
    std::FILE* const file = std::fopen(path.c_str(), how);
    if (file == nullptr || std::fwrite(bytes, 1, size, file) != size || std::fclose(file) != 0)
        std::abort();
}

void take_all(ring_buffer::header& in, const std::string& path) {
    while (const auto found = ring_buffer::take(in)) {
        if (damage == "end")
            found->header->timestamp_end = found->header->timestamp_begin;
        save(path, found->header, found->size, "ab");
        ring_buffer::release(in);
    }
}

void write_cpu(const std::string& folder, uint32_t cpu) {
    alignas(64) static uint8_t memory[ring_buffer::block_size(1024, 4)];
    const auto made = ring_buffer::create(memory, sizeof memory,
                                          {.sub_buffer_size = 1024,
                                           .sub_buffer_count = 4,
                                           .cpu = cpu,
                                           .stream_id = 7,
                                           .uuid = uuid,
                                           .first_position = 0xffff'0000});
    if (!made)
        std::abort();
    const std::string path = folder + "/cpu" + std::to_string(cpu);
    for (unsigned i = 0; i < 20'000; ++i) {
        write_serial(**made, i % 9);
        write_mixed(**made);
        if (i % 100 == 7)
            clock::now += uint64_t{1} << (20 + i / 100 % 24);
        if (i % 1000 < 900) // for the rest the buffer fills
            take_all(**made, path);
    }
    ring_buffer::close_packet(**made, clock{});
    take_all(**made, path);
    // What was lost behind the last packet's end is in no packet: an event more, and its packet.
    write_mixed(**made);
    ring_buffer::close_packet(**made, clock{});
    take_all(**made, path);
}

} // namespace

int main(int count, char** arguments) {
    if (count < 2)
        return 2;
    damage = count > 2 ? arguments[2] : "";
    const std::string folder = arguments[1];
    for (uint32_t cpu = 0; cpu < 2; ++cpu)
        write_cpu(folder, cpu);
    ctf::trace about{.uuid = {},
                     .stream_id = 7,
                     .frequency = 1'000'000'000,
                     .clock_offset = 1'700'000'000'000'000'000,
                     .tracer_name = "nmisafe",
                     .domain = "kernel"};
    std::memcpy(about.uuid, uuid, sizeof uuid);
    std::vector<char> metadata(16384);
    ctf::text to(metadata.data(), metadata.size());
    const size_t known = damage == "event" ? 1 : 2;
    if (!ctf::write_metadata(to, about, events, known))
        std::abort();
    save(folder + "/metadata", metadata.data(), to.length(), "wb");
    std::printf("lost %u\n", lost);
}
