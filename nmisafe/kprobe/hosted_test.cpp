// SPDX-License-Identifier: MIT
// Probes on the real CPU: each snippet of x86/hosted_snippets_x86_64.S leaves the same registers,
// flags and memory with a probe as without; and a thread goes on executing a function correctly
// while each of its instructions is probed in turn.
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/platform/hosted/nmisafe_platform.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/flags.h"

#include <cstring>
#include <doctest/doctest.h>
#include <thread>
#include <vector>

using namespace nmisafe;
using kprobe::probe;

namespace {

struct state {
    uint64_t ax, cx, dx, bx, bp, si, r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t di, flags, sp;
};

struct snippet {
    const char* begin;
    const char* at;
    const char* next;
    const char* name;
};

} // namespace

extern "C" {
extern const snippet hosted_snippets[];
extern const snippet hosted_snippets_end[];
extern uint64_t hosted_words[8];
extern const char hosted_slots[];
extern const char hosted_sum_end[];
[[NMISAFE_ASSEMBLY_CALL]] void hosted_run(state*, const void* code);
[[NMISAFE_ASSEMBLY_CALL]] uint32_t hosted_sum();
}

namespace {

alignas(16) uint64_t stack[8192];

bool set_up() {
    return platform::hosted::set_up([](platform::frame& frame) {
        return text_patch::handle_breakpoint(frame) || kprobe::handle_breakpoint(frame);
    });
}

uintptr_t address_of(const void* where) {
    return reinterpret_cast<uintptr_t>(where);
}

uintptr_t slot(size_t number) {
    return address_of(hosted_slots) + number * kprobe::slot_size;
}

struct outcome {
    state registers;
    uint64_t words[8];
};

constexpr uint64_t arithmetic =
    X86_FLAGS_CF | X86_FLAGS_PF | X86_FLAGS_AF | X86_FLAGS_ZF | X86_FLAGS_SF | X86_FLAGS_OF;

/// Registers that differ from each other and, but for cx and flags, not from run to run.
outcome run(const char* code, uint64_t cx, uint64_t flags) {
    for (unsigned i = 0; i < 8; ++i)
        hosted_words[i] = 0x0101010101010101 * (i + 1);
    state registers{};
    uint64_t value = 0x1357'9bdf'0246'8ace;
    for (uint64_t* word : {&registers.ax, &registers.dx, &registers.bx, &registers.bp,
                           &registers.r8, &registers.r9, &registers.r10, &registers.r11,
                           &registers.r12, &registers.r13, &registers.r14, &registers.r15})
        *word = value = value * 0x5851'f42d'4c95'7f2d + 1;
    registers.cx = cx;
    registers.si = address_of(&hosted_words[0]);
    registers.di = address_of(&hosted_words[4]);
    registers.flags = X86_FLAGS_FIXED | X86_FLAGS_IF | flags;
    registers.sp = address_of(&stack[8000]);
    hosted_run(&registers, code);
    outcome result{};
    result.registers = registers;
    std::memcpy(result.words, hosted_words, sizeof result.words);
    return result;
}

bool same(const outcome& a, const outcome& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

uintptr_t next_ip;

} // namespace

TEST_CASE("with a probe everything is as without") {
    REQUIRE(set_up());
    size_t snippets = 0;
    for (const snippet* each = hosted_snippets; each != hosted_snippets_end; ++each, ++snippets) {
        CAPTURE(each->name);
        for (const uint64_t cx : {uint64_t{0}, uint64_t{1}, uint64_t{5}, uint64_t{1} << 32})
            for (const uint64_t flags : {uint64_t{0}, arithmetic, uint64_t{X86_FLAGS_ZF},
                                         uint64_t{X86_FLAGS_CF | X86_FLAGS_SF}}) {
                if (cx > 5 && std::strcmp(each->name, "string") == 0)
                    continue; // it would copy as many bytes
                const outcome expected = run(each->begin, cx, flags);
                probe what{};
                what.address = address_of(each->at);
                what.function = address_of(each->begin);
                what.slot = slot(0);
                what.post = [](probe&, platform::frame& frame) {
                    next_ip = platform::ip_of(frame);
                };
                const uint32_t traps = platform::hosted::process.breakpoints;
                REQUIRE(kprobe::insert(what).has_value());
                const outcome found = run(each->begin, cx, flags);
                CHECK(same(found, expected));
                CHECK(what.hits == 1);
                CHECK(what.completed == 1);
                CHECK(what.missed == 0);
                CHECK(platform::hosted::process.breakpoints > traps);
                CHECK(next_ip != 0);
                REQUIRE(kprobe::remove(what).has_value());
                REQUIRE(kprobe::release(what).has_value());
                CHECK(same(run(each->begin, cx, flags), expected));
                CHECK(what.hits == 1);
            }
    }
    CHECK(snippets > 35);
}

#ifndef NMISAFE_FOREIGN_FRAME // frames make no difference to it
TEST_CASE("a thread executes what is being probed") {
    REQUIRE(set_up());
    if (platform::hosted::process.one_thread_only) {
        MESSAGE("this system cannot synchronise threads: left out");
        return;
    }
    std::vector<uintptr_t> instructions;
    for (uintptr_t at = address_of(reinterpret_cast<const void*>(hosted_sum));
         at != address_of(hosted_sum_end);) {
        const auto what = x86::decode(reinterpret_cast<const uint8_t*>(at),
                                      x86::maximum_instruction_length, x86::width::bits_64);
        REQUIRE(what.has_value());
        instructions.push_back(at);
        at += what->length;
    }
    REQUIRE(instructions.size() > 10);

    uint32_t rounds = 0;
    uint32_t wrong = 0;
    bool stop = false;
    std::thread worker([&] {
        while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
            if (hosted_sum() != 5050)
                __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
            __atomic_fetch_add(&rounds, 1, __ATOMIC_RELEASE);
        }
    });
    // Two rounds begun since now: the thread has been outside of every slot.
    const auto wait = [&] {
        const uint32_t start = __atomic_load_n(&rounds, __ATOMIC_ACQUIRE);
        while (__atomic_load_n(&rounds, __ATOMIC_ACQUIRE) - start < 2)
            std::this_thread::yield();
    };
    for (unsigned turn = 0; turn < 20; ++turn)
        for (size_t i = 0; i < instructions.size(); ++i) {
            probe what{};
            what.address = instructions[i];
            what.function = instructions[0];
            what.slot = slot(1 + i);
            REQUIRE(kprobe::insert(what).has_value());
            wait();
            REQUIRE(kprobe::remove(what).has_value());
            wait();
            REQUIRE(kprobe::release(what).has_value());
            CHECK(what.hits != 0);
            CHECK(what.missed == 0);
        }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    worker.join();
    CHECK(wrong == 0);
}
#endif
