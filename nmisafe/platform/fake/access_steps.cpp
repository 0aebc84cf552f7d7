// SPDX-License-Identifier: MIT
#include "nmisafe/platform/fake/access_steps.hpp"

#include <array>
#include <cstdlib>
#include <ucontext.h>
#include <utility>

namespace nmisafe::platform::fake::access_steps {

namespace {

struct range {
    uintptr_t begin;
    uintptr_t end;
    grain how;
};
std::array<range, 8> ranges;
size_t range_count;

bool is_on;
unsigned number; // of the next step
const visit* next;
const visit* last;

enum cpu : uint8_t { first_cpu, other_cpu };
cpu running;
bool is_in_run[2]; // the CPU's last step was of grain::runs

void (*others)();
bool other_has_begun;
bool other_is_over;
unsigned left; // steps of the other CPU; 0: all
ucontext_t contexts[2];
alignas(64) std::array<char, 1 << 18> stack;

void on_other_cpu() {
    others();
    other_is_over = true;
    running = first_cpu;
    swapcontext(&contexts[other_cpu], &contexts[first_cpu]);
}

void go_on_beside(unsigned steps) {
    if (other_is_over || others == nullptr)
        return;
    if (!std::exchange(other_has_begun, true)) {
        getcontext(&contexts[other_cpu]);
        contexts[other_cpu].uc_stack.ss_sp = stack.data();
        contexts[other_cpu].uc_stack.ss_size = stack.size();
        contexts[other_cpu].uc_link = nullptr;
        makecontext(&contexts[other_cpu], on_other_cpu, 0);
    }
    left = steps;
    running = other_cpu;
    const bool was_on = is_on;
    swapcontext(&contexts[first_cpu], &contexts[other_cpu]);
    is_on = was_on;
}

void before(const volatile void* at) {
    if (!is_on)
        return;
    const auto address = reinterpret_cast<uintptr_t>(at);
    for (size_t i = 0; i < range_count; ++i) {
        if (address < ranges[i].begin || address >= ranges[i].end)
            continue;
        const bool goes_on = is_in_run[running] && ranges[i].how == grain::runs;
        is_in_run[running] = ranges[i].how == grain::runs;
        if (!goes_on)
            step();
        return;
    }
}

} // namespace

void watch_nothing() {
    range_count = 0;
}

void watch(const void* begin, size_t size, grain how) {
    const auto from = reinterpret_cast<uintptr_t>(begin);
    if (range_count == ranges.size())
        std::abort();
    ranges[range_count++] = {from, from + size, how};
}

void step() {
    if (running == other_cpu) {
        if (left != 0 && --left == 0) {
            running = first_cpu;
            swapcontext(&contexts[other_cpu], &contexts[first_cpu]);
        }
        return;
    }
    const unsigned mine = number++;
    while (next != last && next->at <= mine) { // less: what came before it went past it
        const visit& now = *next++;
        const bool was_in_run = std::exchange(is_in_run[first_cpu], false);
        if (now.what != nullptr)
            now.what();
        else
            go_on_beside(now.beside);
        is_in_run[first_cpu] = was_in_run;
    }
}

outcome run(void (*first)(), void (*other)(), const visit* visits, size_t count) {
    number = 0;
    next = visits;
    last = visits + count;
    others = other;
    other_has_begun = other_is_over = false;
    is_in_run[first_cpu] = is_in_run[other_cpu] = false;
    running = first_cpu;
    is_on = true;
    first();
    const unsigned steps = number;
    if (other_has_begun)
        go_on_beside(0);
    is_on = false;
    return {steps, static_cast<unsigned>(next - visits)};
}

unwatched::unwatched() : before_(std::exchange(is_on, false)) {}
unwatched::~unwatched() {
    is_on = before_;
}

} // namespace nmisafe::platform::fake::access_steps

// What the compilers call. Their names, and what they are to do, are ThreadSanitizer's.
using nmisafe::platform::fake::access_steps::before;

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_atomic_signal_fence(int) {}
void __tsan_atomic_thread_fence(int) {}
void __tsan_read_range(void* at, unsigned long) {
    before(at);
}
void __tsan_write_range(void* at, unsigned long) {
    before(at);
}

#define PLAIN(what)                                                                                \
    void __tsan_##what(void* at) {                                                                 \
        before(at);                                                                                \
    }
#define PLAIN_OF_SIZE(size) PLAIN(read##size) PLAIN(write##size)
#define UNALIGNED_OF_SIZE(size) PLAIN(unaligned_read##size) PLAIN(unaligned_write##size)
PLAIN_OF_SIZE(1)
PLAIN_OF_SIZE(2)
PLAIN_OF_SIZE(4)
PLAIN_OF_SIZE(8)
PLAIN_OF_SIZE(16)
UNALIGNED_OF_SIZE(2)
UNALIGNED_OF_SIZE(4)
UNALIGNED_OF_SIZE(8)
UNALIGNED_OF_SIZE(16)

// To add nothing is to look: a test does, and then it is no step.
#define ATOMIC(bits)                                                                               \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t* at, int) {            \
        before(at);                                                                                \
        return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                              \
    }                                                                                              \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t* at, uint##bits##_t value, int) {     \
        before(at);                                                                                \
        __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                             \
    }                                                                                              \
    uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t* at,                     \
                                                  uint##bits##_t value, int) {                     \
        before(at);                                                                                \
        return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);                                   \
    }                                                                                              \
    uint##bits##_t __tsan_atomic##bits##_fetch_add(volatile uint##bits##_t* at,                    \
                                                   uint##bits##_t value, int) {                    \
        if (value != 0)                                                                            \
            before(at);                                                                            \
        return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);                                    \
    }                                                                                              \
    uint##bits##_t __tsan_atomic##bits##_fetch_or(volatile uint##bits##_t* at,                     \
                                                  uint##bits##_t value, int) {                     \
        if (value != 0)                                                                            \
            before(at);                                                                            \
        return __atomic_fetch_or(at, value, __ATOMIC_SEQ_CST);                                     \
    }                                                                                              \
    uint##bits##_t __tsan_atomic##bits##_fetch_sub(volatile uint##bits##_t* at,                    \
                                                   uint##bits##_t value, int) {                    \
        before(at);                                                                                \
        return __atomic_fetch_sub(at, value, __ATOMIC_SEQ_CST);                                    \
    }                                                                                              \
    int __tsan_atomic##bits##_compare_exchange_strong(                                             \
        volatile uint##bits##_t* at, uint##bits##_t* expected, uint##bits##_t value, int, int) {   \
        before(at);                                                                                \
        return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_SEQ_CST,           \
                                           __ATOMIC_SEQ_CST);                                      \
    }                                                                                              \
    uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                                     \
        volatile uint##bits##_t* at, uint##bits##_t expected, uint##bits##_t value, int, int) {    \
        before(at);                                                                                \
        __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_SEQ_CST,                 \
                                    __ATOMIC_SEQ_CST);                                             \
        return expected;                                                                           \
    }
ATOMIC(8)
ATOMIC(32)
ATOMIC(64)
}
