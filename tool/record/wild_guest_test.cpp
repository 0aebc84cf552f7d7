// SPDX-License-Identifier: MIT
// A guest that changes its buffers while they are recorded: a thread in its part. Built with AddressSanitizer and
// UndefinedBehaviorSanitizer: nothing outside of the guest's memory is accessed, and what is written can be read.
//
//     wild_guest SECONDS
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "tool/memory/dead_machine_test.hpp"
#include "tool/record/live_trace.hpp"

using namespace nmisafe;
using namespace nmisafe::tool;
using namespace nmisafe::tool::test;

namespace {

std::atomic<bool> is_over;

// A word becomes another one for a moment: mostly one that says where something is, or how much. Where it
// stays longer the recording notices it and looks at the buffer no more.
void go_wild(std::uint8_t* ram) {
    std::minstd_rand numbers(1);
    while (!is_over) {
        auto* const begin =
            reinterpret_cast<std::uint32_t*>(ram + dead_machine::block_at[numbers() % 2]);
        constexpr std::size_t header = sizeof(ring_buffer::header) / sizeof *begin;
        auto* const word = begin + numbers() % (numbers() % 4 == 0 ? 3 * header : header);
        const std::uint32_t before = __atomic_load_n(word, __ATOMIC_RELAXED);
        __atomic_store_n(word, static_cast<std::uint32_t>(numbers() << (numbers() % 8)),
                         __ATOMIC_RELAXED);
        for (auto wait = numbers() % 64; wait != 0; --wait) {
            asm volatile("");
        }
        __atomic_store_n(word, before, __ATOMIC_RELAXED);
    }
}

} // namespace

int main(int argc, char** argv) {
    const auto duration = std::chrono::duration<double>(argc > 1 ? std::atof(argv[1]) : 2);
    const std::filesystem::path folder =
        std::filesystem::temp_directory_path() /
        ("nmisafe-wild-" + std::to_string(std::rand()) + "-" +
         std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()));
    std::uint64_t packets = 0;
    std::uint64_t problems = 0;
    std::uint64_t recordings = 0;
    const auto end = std::chrono::steady_clock::now() + duration;
    while (std::chrono::steady_clock::now() < end) {
        const auto mode =
            recordings % 2 == 0 ? ring_buffer::mode::discard : ring_buffer::mode::overwrite;
        dead_machine machine(mode, 8);
        for (unsigned i = 0; i < 400; ++i) {
            machine.event(i % 2);
        }
        std::vector<std::string> ignored;
        guest_memory memory;
        memory.add(0, machine.image());
        search_result found = find_traces(memory);
        if (found.traces.empty()) {
            return 1;
        }
        is_over = false;
        std::thread guest(go_wild, machine.ram.data());
        {
            trace_writer writer(folder, describe(found.traces.front().descriptor(), ignored), true);
            live_trace trace(memory, std::move(found.traces.front()), false, writer);
            for (unsigned i = 0; i < 50; ++i) {
                static_cast<void>(trace.poll());
                machine.buffers[0]->consumed = machine.buffers[1]->consumed = 0; // and again
            }
            is_over = true;
            guest.join();
            trace.finish();
            writer.finish();
            packets += trace.counts().packets;
            problems += trace.problems().size();
        }
        ++recordings;
    }
    std::filesystem::remove_all(folder);
    std::printf("%llu recordings, %llu packets, %llu problems\n",
                static_cast<unsigned long long>(recordings),
                static_cast<unsigned long long>(packets),
                static_cast<unsigned long long>(problems));
    // Nothing read, or nothing noticed, would have shown nothing.
    return packets > 10 && problems > 0 ? 0 : 1;
}
