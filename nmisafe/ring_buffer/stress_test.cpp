// SPDX-License-Identifier: MIT
// Threads that write, each into a buffer of its own, as CPUs do; signals that interrupt them and
// each other, as NMIs do; and a reader of all the buffers beside them. Every event is accounted
// for: written, or counted as lost. A share with `./test`; NMISAFE_EVENTS says how many it shall
// be (the target ring_buffer_campaign). Built with sanitizers.
//
// With ThreadSanitizer a signal does not come at every instruction: its runtime keeps it until the
// next call of a function that it intercepts. So payloads are written by such a one, and signals
// come between reserve and commit; what it shows is that the reader and the writers are ordered.
#include "nmisafe/platform/hosted/one_cpu.hpp"
#include "nmisafe/ring_buffer/create.hpp"
#include "nmisafe/ring_buffer/read.hpp"
#include "nmisafe/ring_buffer/write.hpp"
#include "nmisafe/x86/tsc.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace nmisafe;
using namespace nmisafe::ring_buffer;

namespace {

struct tsc_clock {
    uint64_t read() const { return x86::read_tsc(); }
};

constexpr uint32_t sub_buffer = 4096;
constexpr unsigned levels =
    4; // the thread, and three signals, each of which may interrupt the last

struct [[gnu::packed]] payload {
    uint32_t level;
    uint32_t number; ///< Of the level's events that were to be written.
    uint64_t check;
};

uint64_t check_of(uint32_t level, uint32_t number) {
    return (uint64_t{number} << 8 | level) * 0x9e37'79b9'7f4a'7c15;
}

uint64_t load(const uint64_t& word) {
    return __atomic_load_n(&word, __ATOMIC_RELAXED);
}
void count(uint64_t& word) {
    __atomic_fetch_add(&word, 1, __ATOMIC_RELAXED);
}

/// A CPU, with what its contexts know, and what the reader has found in its buffer.
struct cpu {
    alignas(64) std::array<uint8_t, 1 << 17> memory;
    header* in = nullptr;

    // The contexts'.
    uint64_t wanted[levels] = {};
    uint64_t written[levels] = {};
    uint64_t lost = 0;
    uint64_t inside = 0; ///< Signals that came while an event was being written.
    std::vector<uint32_t> in_packet = std::vector<uint32_t>(1 << 20); ///< Events, by packet.

    // The reader's.
    uint64_t read[levels] = {};
    uint64_t last_number[levels] = {};
    uint64_t packets = 0;
    uint64_t next_sequence = 0;
    uint64_t gaps = 0;
    uint64_t last_end = 0;
    uint64_t discarded = 0;
    uint64_t wrong = 0;
    std::vector<bool> was_read = std::vector<bool>(1 << 20);

    void create_buffer(mode which, uint32_t slots) {
        const auto made =
            create(memory.data(), memory.size(),
                   {.sub_buffer_size = sub_buffer, .sub_buffer_count = slots, .mode = which});
        REQUIRE(made);
        in = *made;
    }

    void write(uint32_t level) {
        const auto number =
            static_cast<uint32_t>(__atomic_fetch_add(&wanted[level], 1, __ATOMIC_RELAXED));
        const reservation to = reserve(*in, 1, sizeof(payload), tsc_clock{});
        if (!to) {
            count(lost);
            return;
        }
        const payload event{level, number, check_of(level, number)};
        copy_out(to.payload, event);
        __atomic_fetch_add(&in_packet[(to.end - 1) / sub_buffer], 1, __ATOMIC_RELAXED);
        count(written[level]);
        commit(*in, to);
    }

    // A call, for ThreadSanitizer.
    [[gnu::noinline]] static void copy_out(uint8_t* to, const payload& event) {
        void* (*volatile const copy_bytes)(void*, const void*, size_t) = std::memcpy;
        copy_bytes(to, &event, sizeof event);
    }

    bool read_one() {
        const auto found = take(*in);
        if (!found) {
            wrong += found.error() == no_packet::damaged;
            return false;
        }
        check(*found);
        release(*in);
        return true;
    }

    void check(const packet& found) {
        const packet_header& head = *found.header;
        wrong += head.packet_seq_num < next_sequence;
        gaps += head.packet_seq_num - next_sequence;
        next_sequence = head.packet_seq_num + 1;
        wrong += head.timestamp_begin < last_end || head.timestamp_end < head.timestamp_begin;
        last_end = head.timestamp_end;
        wrong += head.events_discarded < discarded;
        discarded = head.events_discarded;
        const auto* const bytes = reinterpret_cast<const uint8_t*>(found.header);
        const uint32_t events = check_events(bytes, found.content, head);
        // Its first lap is position 0; all are less than 4 GiB.
        const auto place = static_cast<size_t>(head.packet_seq_num);
        wrong += events != __atomic_load_n(&in_packet[place], __ATOMIC_RELAXED);
        wrong += was_read[place];
        was_read[place] = true;
        ++packets;
    }

    uint32_t check_events(const uint8_t* bytes, uint32_t size, const packet_header& head) {
        constexpr uint64_t low = (uint64_t{1} << compact_time_bits) - 1;
        uint64_t time = head.timestamp_begin;
        uint32_t at = packet_header_size;
        uint32_t events = 0;
        for (; at < size; ++events) {
            uint32_t word;
            std::memcpy(&word, bytes + at, sizeof word);
            const uint64_t last = time;
            if ((word & 31) == extended_id) {
                std::memcpy(&time, bytes + at + 5, sizeof time);
                at += extended_header_size;
            } else {
                const uint64_t bits = word >> 5;
                time = (time & ~low) + bits + (bits < (time & low) ? low + 1 : 0);
                at += compact_header_size;
            }
            wrong += time < last || time > head.timestamp_end;
            payload event;
            if (at + sizeof event > size)
                return ++wrong, events;
            std::memcpy(&event, bytes + at, sizeof event);
            at += static_cast<uint32_t>(sizeof event);
            if (event.level >= levels || event.check != check_of(event.level, event.number))
                return ++wrong, events;
            // A level's events follow each other.
            wrong += event.number + uint64_t{1} <= last_number[event.level];
            last_number[event.level] = event.number + uint64_t{1};
            ++read[event.level];
        }
        wrong += at != size;
        return events;
    }
};

thread_local cpu* mine;

void on_signal(int signal) {
    cpu& here = *mine;
    if (__atomic_load_n(&here.in->nesting, __ATOMIC_RELAXED) != 0)
        count(here.inside);
    const auto level = static_cast<uint32_t>(signal - SIGRTMIN + 1);
    for (unsigned i = 0; i < 3; ++i)
        here.write(level);
}

// Sends this thread a signal again and again.
class timer {
  public:
    timer(int signal, long period) {
        sigevent event{};
        event.sigev_notify = SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        event._sigev_un._tid = gettid();
        REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &id_) == 0);
        const itimerspec when{{0, period}, {0, period}};
        REQUIRE(timer_settime(id_, 0, &when, nullptr) == 0);
    }
    ~timer() { timer_delete(id_); }
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;

  private:
    timer_t id_{};
};

void catch_signals() {
    for (int level = 0; level < 3; ++level) { // each may be interrupted by those above it
        struct sigaction action {};
        action.sa_handler = on_signal;
        action.sa_flags = SA_RESTART;
        sigemptyset(&action.sa_mask);
        for (int below = 0; below < level; ++below)
            sigaddset(&action.sa_mask, SIGRTMIN + below);
        REQUIRE(sigaction(SIGRTMIN + level, &action, nullptr) == 0);
    }
}

void write_thread(cpu& self, uint64_t events) {
    platform::hosted::stay_on_this_cpu();
    mine = &self;
    const timer softirq(SIGRTMIN, 53'003);
    const timer interrupt(SIGRTMIN + 1, 71'011);
    const timer nmi(SIGRTMIN + 2, 89'017);
    while (load(self.wanted[0]) + load(self.wanted[1]) + load(self.wanted[2]) +
               load(self.wanted[3]) <
           events)
        self.write(0);
}

struct totals {
    uint64_t wanted, read, lost, overwritten, inside, packets;
};
totals all;

// Both writers to their end, then what is left is read, then it must come out exactly.
void round_of(mode which, uint32_t slots, uint64_t events) {
    std::array<std::unique_ptr<cpu>, 2> cpus;
    for (auto& one : cpus) {
        one = std::make_unique<cpu>();
        one->create_buffer(which, slots);
    }
    bool is_over = false;
    std::thread reader([&] {
        while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
            bool any = false;
            for (auto& one : cpus)
                any = one->read_one() || any;
            if (!any)
                std::this_thread::yield();
        }
    });
    std::array<std::thread, 2> writers;
    for (size_t i = 0; i < writers.size(); ++i)
        writers[i] = std::thread([&, i] { write_thread(*cpus[i], events / 2); });
    for (auto& one : writers)
        one.join();
    __atomic_store_n(&is_over, true, __ATOMIC_RELEASE);
    reader.join();
    for (auto& one : cpus) {
        cpu& self = *one;
        while (self.read_one()) {
        }
        close_packet(*self.in, tsc_clock{});
        while (self.read_one()) {
        }
        uint64_t wanted = 0;
        uint64_t written = 0;
        uint64_t read = 0;
        for (unsigned level = 0; level < levels; ++level) {
            wanted += self.wanted[level];
            written += self.written[level];
            read += self.read[level];
        }
        uint64_t overwritten = 0;
        uint64_t packets_gone = 0;
        for (size_t i = 0; i < self.in_packet.size(); ++i) {
            if (self.in_packet[i] != 0 && !self.was_read[i]) {
                overwritten += self.in_packet[i];
                ++packets_gone;
            }
        }
        uint64_t counted = 0;
        for (const uint32_t lost : self.in->lost)
            counted += lost;
        CHECK(self.wrong == 0);
        CHECK(wanted == written + counted);
        CHECK(counted == self.lost);
        CHECK(written == read + overwritten);
        CHECK(packets_gone == self.gaps);
        CHECK((which == mode::overwrite || overwritten == 0));
        CHECK((which == mode::discard || self.in->lost[0] == 0));
        CHECK(self.in->nesting == 0);
        CHECK(self.in->lost[static_cast<unsigned>(loss::too_big)] == 0);
        all.wanted += wanted;
        all.read += read;
        all.lost += counted;
        all.overwritten += overwritten;
        all.inside += self.inside;
        all.packets += self.packets;
    }
}

} // namespace

TEST_CASE("threads, signals and a reader: each event is read, overwritten or counted") {
    const char* const wish = std::getenv("NMISAFE_EVENTS");
    const uint64_t events = wish != nullptr ? std::strtoull(wish, nullptr, 10) : 2'000'000;
    catch_signals();
    unsigned round = 0;
    for (all = {}; all.wanted < events; ++round)
        round_of(round % 2 == 0 ? mode::discard : mode::overwrite, 2u << round % 4,
                 std::min<uint64_t>(events - all.wanted, wish != nullptr ? 10'000'000 : 500'000));
    MESSAGE(all.wanted, " events: ", all.read, " read, ", all.overwritten, " overwritten, ",
            all.lost, " lost; ", all.inside, " signals came in the middle of one; ", all.packets,
            " packets in ", round, " rounds");
    CHECK(all.wanted >= events);
    CHECK(all.read + all.overwritten + all.lost == all.wanted);
    CHECK(all.inside > 0);
}
