// SPDX-License-Identifier: MIT
// Makes traces for the tests of the whole tool:
//
//     make_trace scene FOLDER [KERNEL ADDRESS...]   CPU 0: an NMI over a page fault over an interrupt, samples
//                                                   with ADDRESSes as their chain; CPU 1: losses. A second
//                                                   packet of each.
//     make_trace many FOLDER EVENTS                 so many events of u32 and u64, of one CPU
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "tool/trace/made_trace_test.hpp"
#include "tool/trace/trace_writer.hpp"

namespace {

using namespace nmisafe;
using namespace nmisafe::tool;
using test::bytes_of;

constexpr std::uint64_t start = 1'000'000;

enum : std::uint32_t {
    sched,
    irq_in,
    irq_out,
    trap_in,
    trap_out,
    nmi_in,
    nmi_out,
    fault,
    sample,
    call,
    back
};

trace_description description() {
    trace_description made = test::made_description();
    const auto hexadecimal = ctf::base::hexadecimal;
    made.width = 64;
    made.frequency = 2'000'000'000; // a tick is half a nanosecond
    made.clock_offset = 2'000'000'000u * std::uint64_t{1'700'000'000};
    made.system = "scene";
    made.events = {
        {sched,
         "sched_switch",
         {{"prev_comm", ctf::kind::string},
          {"prev_tid", ctf::kind::i32},
          {"next_comm", ctf::kind::string},
          {"next_tid", ctf::kind::i32}}},
        {irq_in, "irq_handler_entry", {{"irq", ctf::kind::i32}, {"name", ctf::kind::string}}},
        {irq_out, "irq_handler_exit", {{"irq", ctf::kind::i32}, {"ret", ctf::kind::i32}}},
        {trap_in, "trap_entry", {{"vector", ctf::kind::u8}, {"ip", ctf::kind::u64, hexadecimal}}},
        {trap_out, "trap_exit", {{"vector", ctf::kind::u8}}},
        {nmi_in, "nmi_entry", {{"ip", ctf::kind::u64, hexadecimal}}},
        {nmi_out, "nmi_exit", {}},
        {fault,
         "page_fault_kernel",
         {{"address", ctf::kind::u64, hexadecimal},
          {"ip", ctf::kind::u64, hexadecimal},
          {"error_code", ctf::kind::u32, hexadecimal}}},
        {sample,
         "sample",
         {{"ip", ctf::kind::u64, hexadecimal},
          {"tid", ctf::kind::i32},
          {"chain", ctf::kind::addresses}}},
        {call, "sys_read", {{"fd", ctf::kind::i32}}},
        {back, "exit_syscall", {{"ret", ctf::kind::i64}}},
    };
    made.images.clear();
    return made;
}

std::string text(const char* of) {
    return std::string(of) + '\0';
}

// The events of a stream, each 1000 ticks after the one before: half a microsecond.
struct scene {
    std::uint64_t time = start;
    std::string events;

    void add(std::uint32_t id, ctf::context context, unsigned depth, const std::string& payload) {
        time += 1000;
        events +=
            test::compact(time & ((1u << 27) - 1), id, payload, static_cast<std::uint8_t>(context),
                          static_cast<std::uint8_t>(depth));
    }
};

std::string chain_of(const std::vector<std::uint64_t>& addresses) {
    std::string made = bytes_of(static_cast<std::uint8_t>(addresses.size()));
    for (const std::uint64_t one : addresses) {
        made += bytes_of(one);
    }
    return made;
}

void add_round(scene& to, const std::vector<std::uint64_t>& addresses) {
    using ctf::context;
    const std::uint64_t ip = addresses.empty() ? 0xffff'ffff'8010'0000 : addresses[0];
    to.add(sched, context::thread, 0,
           text("idle") + bytes_of(std::int32_t{0}) + text("worker;\"1\"") +
               bytes_of(std::int32_t{17}));
    to.add(call, context::thread, 0, bytes_of(std::int32_t{3}));
    to.add(irq_in, context::interrupt, 1, bytes_of(std::int32_t{32}) + text("timer"));
    to.add(trap_in, context::trap, 2, bytes_of(std::uint8_t{14}) + bytes_of(ip));
    to.add(fault, context::trap, 2,
           bytes_of(std::uint64_t{0x10}) + bytes_of(ip) + bytes_of(std::uint32_t{2}));
    to.add(nmi_in, context::nmi, 3, bytes_of(ip));
    to.add(sample, context::nmi, 3,
           bytes_of(ip) + bytes_of(std::int32_t{17}) + chain_of(addresses));
    to.add(nmi_out, context::nmi, 3, "");
    to.add(trap_out, context::trap, 2, bytes_of(std::uint8_t{14}));
    to.add(irq_out, context::interrupt, 1, bytes_of(std::int32_t{32}) + bytes_of(std::int32_t{1}));
    to.add(back, context::thread, 0, bytes_of(std::int64_t{-4}));
    to.add(sched, context::thread, 0,
           text("worker;\"1\"") + bytes_of(std::int32_t{17}) + text("idle") +
               bytes_of(std::int32_t{0}));
}

void append(trace_writer& to, const std::string& stream, const ring_buffer::packet_header& header,
            const std::string& events) {
    const std::string packet = test::packet(header, events);
    const append_result result = to.append(stream, test::as_bytes(packet));
    if (!result.is_written || !result.problems.empty()) {
        throw std::runtime_error("a packet was not taken: " +
                                 (result.problems.empty() ? "" : result.problems[0]));
    }
}

void make_scene(int count, char** arguments) {
    trace_description about = description();
    std::vector<std::uint64_t> addresses;
    if (count > 3) {
        about.kernel = arguments[3];
        about.images = {{"kernel", "", 0, ~std::uint64_t{0}, 0, 0, 0}};
    }
    for (int i = 4; i < count; ++i) {
        addresses.push_back(std::strtoull(arguments[i], nullptr, 0));
    }
    trace_writer writer(arguments[2], about);
    for (std::uint32_t cpu = 0; cpu < 2; ++cpu) {
        scene one;
        one.time += 100 * cpu;
        for (std::uint64_t sequence = 0; sequence < 2; ++sequence) {
            const std::uint64_t begin = one.time;
            add_round(one, addresses);
            append(writer, "kernel_" + std::to_string(cpu),
                   test::made_header(begin, one.time, sequence, cpu * sequence * 5, cpu),
                   one.events);
            one.events.clear();
        }
    }
    writer.finish();
}

void make_many(const std::string& folder, std::uint64_t events) {
    trace_description about = test::made_description();
    trace_writer writer(folder, about);
    constexpr std::uint64_t in_packet = 14'000;
    std::uint64_t time = start;
    std::uint64_t sequence = 0;
    for (std::uint64_t done = 0; done < events; done += in_packet) {
        const std::uint64_t begin = time;
        std::string bytes;
        for (std::uint64_t i = done; i < std::min(events, done + in_packet); ++i) {
            time += 211;
            bytes += test::compact(time & ((1u << 27) - 1), i % 8 == 0,
                                   test::plain(static_cast<std::uint32_t>(i), i << 7),
                                   i % 8 == 0 ? 4 : 0, i % 8 == 0);
        }
        append(writer, "kernel_0", test::made_header(begin, time, sequence++, 0), bytes);
    }
    writer.finish();
}

} // namespace

int main(int count, char** arguments) {
    const std::string what = count > 2 ? arguments[1] : "";
    try {
        if (what == "scene") {
            make_scene(count, arguments);
        } else if (what == "many" && count > 3) {
            make_many(arguments[2], std::strtoull(arguments[3], nullptr, 0));
        } else {
            return 2;
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "make_trace: %s\n", error.what());
        return 1;
    }
    return 0;
}
