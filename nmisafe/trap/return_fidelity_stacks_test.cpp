// SPDX-License-Identifier: MIT
// The stacks as the CPU and the entry code leave them for a return sequence.
// [intel/vol3 6.12.1, 6.14.2]
#include "nmisafe/trap/return_fidelity.hpp"
#include "nmisafe/x86/flags.h"

#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

namespace nmisafe::trap::fidelity {

namespace {

constexpr size_t word_size = sizeof(uintptr_t);
constexpr uintptr_t call_return_address = static_cast<uintptr_t>(0xca11ca11ca11ca11);

/// Distinct in every register and in both halves.
constexpr uintptr_t pattern(size_t index) {
    return static_cast<uintptr_t>(0x9e3779b97f4a7c15 * (index + 1));
}

void store(uintptr_t address, uintptr_t value) {
    std::memcpy(reinterpret_cast<void*>(address), &value, word_size);
}

/// The interrupted stack pointer: below it room for frames and scribbling, above it caller words.
uintptr_t interrupted_sp(const placement& where) {
    const auto bottom = reinterpret_cast<uintptr_t>(memory().interrupted_stack);
    return bottom + sizeof memory().interrupted_stack - 256 - where.misaligned;
}

unsigned char* end_of_interrupted_stack() {
    return memory().interrupted_stack + sizeof memory().interrupted_stack;
}

/// The interrupted stack as prepare() left it.
unsigned char left[sizeof(shared_memory::interrupted_stack)];

/// Pushes the hardware frame and returns its address.
uintptr_t push_frame(const placement& where, const machine_state& interrupted, uintptr_t image) {
    const auto target = reinterpret_cast<uintptr_t>(return_fidelity_landing);
    uintptr_t frame = interrupted_sp(where);
    if constexpr (x86::is_64_bit) {
        if (where.stack == trap_stack::lower)
            frame = reinterpret_cast<uintptr_t>(memory().interrupted_stack);
        else if (where.stack == trap_stack::upper)
            frame = reinterpret_cast<uintptr_t>(&memory().upper_stack + 1);
        frame = (frame & ~uintptr_t{15}) - 5 * word_size;
        store(frame + 3 * word_size, interrupted.word[STATE_SP]);
        store(frame + 4 * word_size, interrupted.word[STATE_SS]);
    } else {
        frame -= 3 * word_size;
    }
    store(frame, target);
    store(frame + word_size, interrupted.word[STATE_CS]);
    store(frame + 2 * word_size, image);
    return frame;
}

} // namespace

shared_memory& memory() {
    static shared_memory* const mapped = [] {
        void* const address = mmap(nullptr, sizeof(shared_memory), PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (address == MAP_FAILED)
            std::abort();
        return static_cast<shared_memory*>(address);
    }();
    return *mapped;
}

run prepare(const sequence& tested, const placement& where, uintptr_t image,
            uintptr_t entry_flags) {
    std::memset(&memory(), 0x5a, sizeof(shared_memory));
    return_fidelity_read_segments();
    run prepared{};
    machine_state& expected = prepared.expected;
    for (size_t i = 0; i < STATE_GENERAL; ++i)
        expected.word[i] = pattern(i);
    const uintptr_t interrupted = interrupted_sp(where);
    expected.word[STATE_SP] = interrupted;
    expected.word[STATE_CS] = return_fidelity_before.word[STATE_CS];
    expected.word[STATE_SS] = return_fidelity_before.word[STATE_SS];
    for (uintptr_t address = interrupted;
         address < reinterpret_cast<uintptr_t>(end_of_interrupted_stack()); address += word_size)
        store(address, ~pattern(address));

    const uintptr_t frame = push_frame(where, expected, image);
    if (where.lowered != 0) {
        // What a handler does after the frame was pushed.
        expected.word[STATE_SP] -= static_cast<uintptr_t>(where.lowered);
        store(frame + 3 * word_size, expected.word[STATE_SP]);
    }
    if (where.emulated_call)
        store(expected.word[STATE_SP], call_return_address);

    // IF and IOPL are not ring 3's to change, and Linux runs it with IF=1.
    expected.word[STATE_FLAGS] = (image & ~uintptr_t{X86_FLAGS_IOPL}) | X86_FLAGS_IF;
    prepared.frame = frame;
    prepared.before = expected;
    prepared.before.word[STATE_SP] = frame - tested.frame;
    prepared.before.word[STATE_FLAGS] = entry_flags;
    if constexpr (x86::is_64_bit) {
        // RAX and RCX are on the stack, the registers hold what the handler left.
        store(prepared.before.word[STATE_SP], expected.word[STATE_CX]);
        store(prepared.before.word[STATE_SP] + word_size, expected.word[STATE_AX]);
        prepared.before.word[STATE_CX] = ~expected.word[STATE_CX];
        prepared.before.word[STATE_AX] = ~expected.word[STATE_AX];
    }
    std::memcpy(left, memory().interrupted_stack, sizeof left);
    return prepared;
}

bool stack_kept(const run& prepared) {
    const auto address = [](uintptr_t word) {
        return reinterpret_cast<const unsigned char*>(word);
    };
    const unsigned char* const end = end_of_interrupted_stack();
    const unsigned char* begin = address(prepared.expected.word[STATE_SP]);
    // Below the frame, should the handler have lowered RSP so far, may be what nested events left.
    const unsigned char* const frame = address(prepared.frame);
    if (frame > begin && frame < end)
        begin = frame;
    const auto used = static_cast<size_t>(end - begin);
    return std::memcmp(begin, left + sizeof left - used, used) == 0;
}

machine_state run_at_once(const sequence& tested, const run& prepared) {
    return_fidelity_before = prepared.before;
    return_fidelity_after = {};
    return_fidelity_run(tested.begin);
    return return_fidelity_after;
}

} // namespace nmisafe::trap::fidelity
