// SPDX-License-Identifier: MIT
// Damaged traces, read under AddressSanitizer and UndefinedBehaviorSanitizer:
//
//     fuzz_trace RUNS [SEED]
//
// Each run damages the files of a small trace in a few places, reads all of it, and writes what can be mended.
// No crash, no end of memory; times never go back on any path; and what was mended is read without a problem,
// with as many events as were written.
#include <cstdio>
#include <cstdlib>
#include <random>

#include "tool/trace/made_trace_test.hpp"
#include "tool/trace/trace_writer.hpp"

namespace {

using namespace nmisafe;
using namespace nmisafe::tool;
using namespace nmisafe::tool::test;
using files = std::map<std::string, std::string>;

[[noreturn]] void fail(const char* what, std::uint64_t run) {
    std::printf("run %llu: %s\n", static_cast<unsigned long long>(run), what);
    std::abort();
}

std::string events_of(std::uint64_t begin, unsigned count) {
    std::string all;
    for (unsigned i = 0; i < count; ++i) {
        const std::uint64_t time = begin + i * 10;
        switch (i % 4) {
        case 0:
            all +=
                compact(time & ((1u << 27) - 1), 0, plain(i), static_cast<std::uint8_t>(i % 7), 1);
            break;
        case 1:
            all += test_event(time, 1);
            break;
        case 2:
            all += compact(time & ((1u << 27) - 1), 2, "");
            break;
        default:
            all += extended(time, 70000,
                            bytes_of(std::uint8_t{1}) + bytes_of(std::int16_t{2}) + "name" +
                                std::string(1, '\0') + bytes_of(std::uint8_t{2}) +
                                std::string(16, 'x') + bytes_of(std::int64_t{3}),
                            4, 2);
        }
    }
    return all;
}

files make() {
    files all;
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
        std::string& stream = all["kernel_" + std::to_string(cpu)];
        std::uint64_t begin = 1000 + cpu;
        for (unsigned sequence = 0; sequence < 3; ++sequence) {
            stream += packet(made_header(begin, begin + 200, sequence, sequence, cpu),
                             events_of(begin, 12), 600);
            begin += 250;
        }
    }
    return made_files(all);
}

void damage(std::string& bytes, std::mt19937_64& random) {
    constexpr std::uint64_t telling[] = {0,    1,    7,      8,           31,
                                         0x7f, 0xff, 0x8000, 0xffff'ffff, ~std::uint64_t{0}};
    if (bytes.empty()) {
        return;
    }
    const std::size_t at = random() % bytes.size();
    const std::size_t length = std::min<std::size_t>(random() % 64, bytes.size() - at);
    switch (random() % 7) {
    case 0:
    case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
        break;
    case 2: {
        const std::uint64_t value = telling[random() % std::size(telling)];
        std::memcpy(bytes.data() + at, &value,
                    std::min<std::size_t>(std::size_t{1} << random() % 4, bytes.size() - at));
        break;
    }
    case 3:
        bytes.erase(at, length);
        break;
    case 4:
        bytes.insert(at, bytes.substr(random() % bytes.size(), length));
        break;
    case 5:
        bytes.resize(at);
        break;
    default: { // a field of a header
        const std::size_t field =
            random() % 3 * 600 + random() % sizeof(ring_buffer::packet_header);
        if (field < bytes.size()) {
            bytes[field] = static_cast<char>(random());
        }
    }
    }
}

// Everything of it, with all fields.
std::uint64_t read_everything(const trace_folder& folder, trace_problems& problems,
                              std::uint64_t run) {
    trace_reader reader(folder, problems);
    std::uint64_t last = 0;
    std::uint64_t events = 0;
    for (trace_item item = reader.next(); item != trace_item::end; item = reader.next()) {
        if (item == trace_item::loss) {
            continue;
        }
        const trace_event& event = reader.event();
        if (event.time < last) {
            fail("the time goes back", run);
        }
        last = event.time;
        ++events;
        field_reader fields(event);
        for (const field_type& field : event.type->fields) {
            const field_value value = fields.next(field.type);
            volatile std::uint64_t seen = value.number + value.text.size();
            for (std::size_t i = 0; i < value.address_count(); ++i) {
                seen = seen + value.address(i);
            }
        }
    }
    return events;
}

// What trace_writer would write of it, in memory.
void mend(const trace_folder& folder, std::uint64_t run) {
    files mended;
    std::uint64_t written = 0;
    trace_problems problems;
    for (std::size_t i = 0; i < folder.streams().size(); ++i) {
        packet_reader packets = folder.open(i, problems);
        stream_state state;
        std::string& to = mended[folder.streams()[i]];
        while (packets.next()) {
            const repaired_packet one =
                repair(packets.content(), state, folder.description(), folder.events());
            if (one.is_good) {
                const std::size_t head = sizeof one.header;
                to += bytes_of(one.header);
                to.append(reinterpret_cast<const char*>(packets.content().data()) + head,
                          one.content - head);
                written += one.events;
                go_on(state, one.header, one.last_time);
            }
        }
    }
    mended[".metadata.ctf2"] = write_ctf2(folder.description());
    write_tsdl(folder.description());
    const trace_folder again(mended);
    trace_problems none;
    if (read_everything(again, none, run) != written) {
        fail("what was mended has other events", run);
    }
    if (none.count() != 0) {
        std::printf("%s\n", none.kept()[0].c_str());
        fail("what was mended has a problem", run);
    }
}

} // namespace

int main(int count, char** arguments) {
    const std::uint64_t runs = count > 1 ? std::strtoull(arguments[1], nullptr, 0) : 1000;
    std::mt19937_64 random(count > 2 ? std::strtoull(arguments[2], nullptr, 0) : 1);
    const files good = make();
    {
        trace_problems problems;
        if (read_everything(trace_folder(good), problems, 0) != 72 || problems.count() != 0) {
            fail("the trace is not good before it is damaged", 0);
        }
    }
    std::uint64_t refused = 0;
    std::uint64_t damaged = 0;
    std::uint64_t events = 0;
    for (std::uint64_t run = 1; run <= runs; ++run) {
        files bad = good;
        for (std::uint64_t times = 1 + random() % 4; times != 0; --times) {
            const std::uint64_t which = random() % 16;
            damage(bad[which == 0   ? ".metadata.ctf2"
                       : which == 1 ? ".nmisafe.json"
                                    : "kernel_" + std::to_string(which % 2)],
                   random);
        }
        try {
            const trace_folder folder(bad);
            trace_problems problems;
            events += read_everything(folder, problems, run);
            damaged += problems.count() != 0 ? 1u : 0u;
            mend(folder, run);
        } catch (const trace_error&) {
            ++refused;
        }
    }
    std::printf("runs %llu, refused %llu, with problems %llu, events read %llu\n",
                static_cast<unsigned long long>(runs), static_cast<unsigned long long>(refused),
                static_cast<unsigned long long>(damaged), static_cast<unsigned long long>(events));
    return damaged > runs / 4 && events > runs * 10 ? 0 : 1;
}
