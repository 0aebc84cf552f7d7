// SPDX-License-Identifier: MIT
#include "nmisafe/ctf/metadata.hpp"

using namespace nmisafe;

void save(const char* path, const char* bytes, size_t size);

constexpr ctf::field fields[] = {{"length", ctf::kind::u32}, {"name", ctf::kind::string}};
constexpr ctf::event packet{5, "net_packet", fields};
constexpr const ctf::event* events[] = {&packet};

void write(char* memory, size_t size, uint64_t tsc_frequency) {
    ctf::text metadata(memory, size);
    if (ctf::write_metadata(metadata,
                            {.frequency = tsc_frequency, .tracer_name = "mine", .domain = "kernel"},
                            events, 1))
        save("trace/metadata", memory, metadata.length());
}
