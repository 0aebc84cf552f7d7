// SPDX-License-Identifier: MIT
// Jumps, conditional jumps and calls executed by the real CPU at every step of their patching, with
// SIGTRAP as the breakpoint: where they lead to, what the callee finds on the stack, and what they
// leave of stack and flags. The same by another thread at any moment, and by one that is kept from
// its stub.
//
// Built for -O0 to -O3 and both widths; see CMakeLists.txt.
#include "nmisafe/platform/hosted/checks.hpp"
#include "nmisafe/platform/hosted/nmisafe_platform.hpp"
#include "nmisafe/platform/hosted/rounds.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/text_patch/x86/hosted_sites.h"
#include "nmisafe/x86/flags.h"

#include <algorithm>
#include <cstdio>
#include <pthread.h>
#include <vector>

namespace nmisafe::text_patch::test {

namespace {

namespace hosted = platform::hosted;

enum class kind : uint8_t { nop, jump, jump_if, call };

struct instruction {
    kind what = kind::nop;
    bool to_b = false;     ///< Else to a.
    uint8_t condition = 0; ///< As the low half of the opcode has it.
};

constexpr uint8_t sizes[place_count] = {2, 5, 6};

// --- what an instruction is, and does -----------------------------------------------------------

/// Writes the bytes of an instruction of this place's size.
void encode(unsigned number, const instruction& one, uint8_t* code) {
    constexpr uint8_t nops[place_count][6] = {
        {0x66, 0x90}, {0x0f, 0x1f, 0x44, 0, 0}, {0x66, 0x0f, 0x1f, 0x44, 0, 0}};
    const place& where = hosted_places[number];
    const uint8_t size = sizes[number];
    uint8_t* const end = code + size;
    uintptr_t target = one.to_b ? where.b : where.a;
    switch (one.what) {
    case kind::nop:
        std::copy(nops[number], nops[number] + size, code);
        return;
    case kind::jump:
        *code++ = size == 2 ? 0xeb : 0xe9;
        break;
    case kind::jump_if:
        if (size != 2)
            *code++ = 0x0f;
        *code++ = static_cast<uint8_t>((size == 2 ? 0x70 : 0x80) + one.condition);
        break;
    case kind::call:
        *code++ = 0xe8;
        target = reinterpret_cast<uintptr_t>(one.to_b ? hosted_callee_b : hosted_callee_a);
        break;
    }
    for (uintptr_t distance = target - where.next; code != end; distance >>= 8)
        *code++ = static_cast<uint8_t>(distance);
}

/// No flag or one: then an even condition holds with any of those that it looks at.
constexpr uintptr_t all_flags[] = {
    0, X86_FLAGS_CF, X86_FLAGS_PF, X86_FLAGS_ZF, X86_FLAGS_SF, X86_FLAGS_OF};
constexpr uintptr_t arithmetic =
    X86_FLAGS_CF | X86_FLAGS_PF | X86_FLAGS_ZF | X86_FLAGS_SF | X86_FLAGS_OF;

bool is_taken(const instruction& one, uintptr_t flags) {
    constexpr uintptr_t holds_with[] = {X86_FLAGS_OF,
                                        X86_FLAGS_CF,
                                        X86_FLAGS_ZF,
                                        X86_FLAGS_CF | X86_FLAGS_ZF,
                                        X86_FLAGS_SF,
                                        X86_FLAGS_PF,
                                        X86_FLAGS_SF | X86_FLAGS_OF,
                                        X86_FLAGS_SF | X86_FLAGS_OF | X86_FLAGS_ZF};
    if (one.what == kind::jump_if)
        return ((flags & holds_with[one.condition / 2]) != 0) == (one.condition % 2 == 0);
    return one.what == kind::jump;
}

/// An emulated CALL returns to its stub. Nothing else tells what is emulated from the CPU's own.
uintptr_t return_address(const place& where, const instruction& one, bool emulated) {
    constexpr unsigned call_size = 5;
    if (!emulated)
        return where.next;
    return (one.to_b ? where.stub_b : where.stub_a) + call_size;
}

bool is_effect(const record& seen, unsigned number, const instruction& one, uintptr_t flags,
               bool emulated) {
    if (seen.sp_after != seen.sp_before || (seen.flags & arithmetic) != flags)
        return false;
    if (one.what != kind::call)
        return seen.callee == 0 && seen.arrival == (!is_taken(one, flags) ? ARRIVED_NEXT
                                                    : one.to_b            ? ARRIVED_B
                                                                          : ARRIVED_A);
    return seen.arrival == ARRIVED_NEXT && seen.callee == (one.to_b ? CALLEE_B : CALLEE_A) &&
           seen.sp_in_callee == seen.sp_before - sizeof(uintptr_t) &&
           seen.return_address == return_address(hosted_places[number], one, emulated);
}

record execute(unsigned number, uintptr_t flags) {
    record seen{};
    hosted_execute(&seen, hosted_places[number].site, X86_FLAGS_FIXED | X86_FLAGS_IF | flags);
    return seen;
}

// --- a batch that changes all sites -------------------------------------------------------------

instruction before[place_count]; // what the places hold; apply() has returned
instruction after[place_count];  // what they are to hold

patch patch_of(unsigned number) {
    const place& where = hosted_places[number];
    patch made{};
    made.address = where.site;
    made.size = sizes[number];
    if (before[number].what == kind::call)
        made.stub_before = before[number].to_b ? where.stub_b : where.stub_a;
    if (after[number].what == kind::call)
        made.stub_after = after[number].to_b ? where.stub_b : where.stub_a;
    encode(number, before[number], made.before);
    encode(number, after[number], made.after);
    return made;
}

bool change() {
    patch batch[place_count];
    for (unsigned number = 0; number < place_count; ++number)
        batch[number] = patch_of(number);
    const auto changed = apply(batch, place_count);
    for (unsigned number = 0; number < place_count; ++number)
        before[number] = after[number];
    return changed && *changed == place_count;
}

// --- every step ---------------------------------------------------------------------------------

unsigned synchronisations; // of the batch that is being applied
unsigned looks[2][2];      // is it the instruction after? was it emulated?

/// Executes each site with each flag. What it is to do is known from the step; whether the CPU does
/// it or the handler, from the byte that stands there.
void look(bool is_after) {
    for (unsigned number = 0; number < place_count; ++number) {
        uint8_t byte = 0;
        nmisafe_platform::read_text(hosted_places[number].site, &byte, 1);
        const bool emulated = byte == breakpoint;
        ++looks[is_after][emulated];
        for (const uintptr_t flags : all_flags) {
            const uint32_t breakpoints = hosted::process.breakpoints;
            const record seen = execute(number, flags);
            CHECK(hosted::process.breakpoints - breakpoints == emulated);
            CHECK(is_effect(seen, number, (is_after ? after : before)[number], flags, emulated));
        }
    }
}

/// The instructions change their meaning behind the second synchronisation, before the next write.
void look_before_write() {
    look(synchronisations >= 2);
}

void look_after_synchronise() {
    ++synchronisations;
    look(synchronisations == 3);
}

void change_step_by_step() {
    synchronisations = 0;
    for (auto& row : looks)
        row[0] = row[1] = 0;
    look(false);
    hosted::process.before_write = look_before_write;
    hosted::process.after_synchronise = look_after_synchronise;
    CHECK(change());
    hosted::process.before_write = nullptr;
    hosted::process.after_synchronise = nullptr;
    look(true);
    CHECK(synchronisations == 3);
    for (const auto& row : looks)
        CHECK(row[false] >= place_count && row[true] >= place_count);
}

/// Each conditional jump, after the opposite one, which leads elsewhere.
std::vector<instruction> conditional_jumps() {
    std::vector<instruction> all = {{}};
    for (uint8_t condition = 0; condition < 16; ++condition)
        all.push_back({kind::jump_if, condition % 2 != 0, condition});
    return all;
}

/// From each to each other.
std::vector<instruction> jumps_and_calls() {
    const instruction all[] = {
        {}, {kind::jump, false}, {kind::jump, true}, {kind::call, false}, {kind::call, true}};
    std::vector<instruction> walk;
    for (const instruction& one : all)
        for (const instruction* other = &one + 1; other != std::end(all); ++other)
            walk.insert(walk.end(), {one, *other, one});
    return walk;
}

unsigned test_steps() {
    const std::vector<instruction> conditional = conditional_jumps();
    std::vector<instruction> with_jumps = conditional;
    with_jumps.insert(with_jumps.end(), {{kind::jump, false}, {kind::jump, true}});
    const std::vector<instruction> unconditional = jumps_and_calls();
    const size_t rounds = unconditional.size() + 1;
    for (size_t i = 1; i <= rounds; ++i) {
        after[two_bytes] = with_jumps[i % with_jumps.size()];
        after[five_bytes] = unconditional[i % unconditional.size()];
        after[six_bytes] = conditional[i % conditional.size()];
        change_step_by_step();
    }
    return static_cast<unsigned>(rounds);
}

// --- another thread -----------------------------------------------------------------------------

constexpr instruction states[2][place_count] = {
    {{kind::jump_if, false, 4}, {kind::call, false}, {kind::jump_if, false, 7}},
    {{kind::jump, true}, {kind::call, true}, {kind::jump_if, true, 8}}};

void change_to(const instruction* state) {
    for (unsigned number = 0; number < place_count; ++number)
        after[number] = state[number];
    CHECK(change());
}

bool is_effect_of_either(const record& seen, unsigned number, uintptr_t flags) {
    for (const auto& state : states)
        for (const bool emulated : {false, true})
            if (is_effect(seen, number, state[number], flags, emulated))
                return true;
    return false;
}

hosted::rounds rounds;
unsigned wrong;

void* execute_sites(void*) {
    while (rounds.go_on()) {
        for (unsigned number = 0; number < place_count; ++number)
            for (const uintptr_t flags : all_flags)
                wrong += !is_effect_of_either(execute(number, flags), number, flags);
        rounds.end_one();
    }
    return nullptr;
}

unsigned test_threads() {
    constexpr unsigned changes = 50;
    change_to(states[0]);
    pthread_t thread;
    CHECK(pthread_create(&thread, nullptr, execute_sites, nullptr) == 0);
    const uint32_t breakpoints = hosted::process.breakpoints;
    hosted::process.after_synchronise = [] { rounds.wait_for_one(); };
    for (unsigned i = 1; i <= changes; ++i)
        change_to(states[i % 2]);
    hosted::process.after_synchronise = nullptr;
    rounds.stop();
    pthread_join(thread, nullptr);
    CHECK(wrong == 0);
    // Two steps of each change leave INT3 at the sites.
    CHECK(hosted::process.breakpoints - breakpoints >= 2 * changes);
    return changes;
}

// --- a thread that is kept from its stub --------------------------------------------------------

uintptr_t kept_from; // the stub
bool has_come;       // to its handler's end, or without a stub to its own
bool is_let_go;
record late;

bool on_breakpoint(x86::trap_frame& frame) {
    if (!handle_breakpoint(frame))
        return false;
    if (frame.ip == kept_from) {
        __atomic_store_n(&has_come, true, __ATOMIC_RELEASE);
        hosted::wait_until([] { return __atomic_load_n(&is_let_go, __ATOMIC_ACQUIRE); });
    }
    return true;
}

pthread_t late_thread;

/// While the INT3 stands for the instruction before.
void begin_late_thread() {
    if (++synchronisations != 2)
        return;
    CHECK(pthread_create(
              &late_thread, nullptr,
              [](void*) -> void* {
                  late = execute(five_bytes, 0);
                  __atomic_store_n(&has_come, true, __ATOMIC_RELEASE);
                  return nullptr;
              },
              nullptr) == 0);
    hosted::wait_until([] { return __atomic_load_n(&has_come, __ATOMIC_ACQUIRE); });
}

/// What apply() does not wait for: the thread calls the target of before after all has changed.
void test_late_call() {
    change_to(states[0]);
    kept_from = hosted_places[five_bytes].stub_a;
    synchronisations = 0;
    hosted::process.after_synchronise = begin_late_thread;
    change_to(states[1]);
    hosted::process.after_synchronise = nullptr;
    CHECK(is_effect(execute(five_bytes, 0), five_bytes, states[1][five_bytes], 0, false));
    CHECK(late.arrival == 0);
    __atomic_store_n(&is_let_go, true, __ATOMIC_RELEASE);
    pthread_join(late_thread, nullptr);
    CHECK(is_effect(late, five_bytes, states[0][five_bytes], 0, true));
}

} // namespace

extern "C" int main() {
    if (!hosted::set_up(on_breakpoint)) {
        std::printf("this system does not let a program change its own code\n");
        return 1;
    }
    const unsigned in_steps = test_steps();
    test_late_call();
    const unsigned changes = hosted::process.one_thread_only ? 0 : test_threads();
    std::printf("checks %u, failures %u, changes %u step by step, %u with another thread\n",
                hosted::checks, hosted::failures, in_steps, changes);
    return hosted::failures == 0 ? 0 : 1;
}

} // namespace nmisafe::text_patch::test
