// SPDX-License-Identifier: MIT
#include "kernel/experiments/user/hostile_values.hpp"

#include "kernel/common/image.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/memory/stacks.hpp"
#include "nmisafe/user/entry_calls.hpp"
#include "nmisafe/x86/flags.h"

namespace kernel {

namespace {

using namespace nmisafe;

constexpr bool is_64 = sizeof(uintptr_t) == 8;

/// Addresses that the kernel would rather not have in a register of user mode.
uintptr_t kernel_address(random_numbers& random) {
    const auto near = [&random](uintptr_t base) { return base - 128 + random.below(256); };
    switch (random.below(7)) {
    case 0:
        return stack_top(reinterpret_cast<uintptr_t>(__builtin_frame_address(0))) -
               random.below(1024);
    case 1:
        return near(reinterpret_cast<uintptr_t>(&this_cpu()));
    case 2:
#ifdef __x86_64__
        return near(this_cpu().nmi_block->tss.ist[random.below(4)]);
#elif defined NMISAFE_PAGE_TABLE_ISOLATION
        return near(this_cpu().user.entry_stack);
#else
        return near(reinterpret_cast<uintptr_t>(this_cpu().sysenter));
#endif
    case 3:
        return near(reinterpret_cast<uintptr_t>(user::nmisafe_user_stubs));
    case 4:
        return near(reinterpret_cast<uintptr_t>(user::nmisafe_user_iret));
    case 5:
        return near(text_address(kernel_text_begin));
    default:
        return KERNEL_PAGES_BASE + random.below(KERNEL_PAGES_SIZE);
    }
}

// So that POP takes whole words, also where the stack is in the wrong place: a word of two kernel
// addresses' halves would be one that nobody has given.
constexpr uintptr_t whole_words = ~uintptr_t{7};

uintptr_t edge(random_numbers& random) {
    constexpr uintptr_t top_bit = ~(~uintptr_t{0} >> 1);
    switch (random.below(8)) {
    case 0:
        return 0;
    case 1:
        return ~uintptr_t{0} - random.below(32);
    case 2:
        return top_bit;
    case 3:
        return top_bit - 1 - random.below(4);
    case 4: // the ends of what is canonical
        return is_64 ? (uintptr_t{1} << (is_64 ? 47 : 0)) - random.below(32) : KERNEL_DIRECT_BASE;
    case 5:
        return is_64 ? uintptr_t{0xffff7fff} << (is_64 ? 32 : 0) | 0xfffffff8
                     : KERNEL_DIRECT_BASE - 1;
    case 6:
        return random.below(0x10000) & whole_words;
    default:
        return random.below(0x1000000) & whole_words;
    }
}

constexpr uint16_t known_selectors[] = {
    0,
    3,
    KERNEL_CODE_SELECTOR,
    KERNEL_CODE_SELECTOR | 3,
    KERNEL_DATA_SELECTOR,
    KERNEL_DATA_SELECTOR | 3,
    KERNEL_USER_CODE_SELECTOR,
    KERNEL_USER_CODE_SELECTOR & ~3,
    KERNEL_USER_DATA_SELECTOR,
    KERNEL_USER_DATA_SELECTOR & ~3,
    KERNEL_USER_STACK_16_SELECTOR,
    KERNEL_TASK_SELECTOR,
    KERNEL_TASK_SELECTOR | 3,
    0x28,
    0x2b,
    0x43,
};

} // namespace

void give(hostile_task& task, uintptr_t value) {
    if (task.givens < sizeof(task.given) / sizeof(task.given[0]))
        task.given[task.givens++] = value;
}

uintptr_t own_address(random_numbers& random, const hostile_pages& memory) {
    const user_page* const pages[] = {&memory.code, &memory.stack, &memory.data};
    const uintptr_t offset =
        random.percent(20) ? 4096 - random.below(32) : 256 + random.below(3500);
    return pages[random.below(3)]->address + (offset & whole_words);
}

uintptr_t without_far_returns(uintptr_t value) {
    for (unsigned shift = 0; shift < 8 * sizeof(value); shift += 8) {
        const auto byte = static_cast<uint8_t>(value >> shift);
        value ^= uintptr_t{static_cast<uint8_t>(byte ^ without_far_returns(byte))} << shift;
    }
    return value;
}

/// Any value, and it is the task's from then on.
uintptr_t any_value(random_numbers& random, const hostile_pages& memory, hostile_task& task) {
    const uint32_t kind = random.below(100);
    uintptr_t value;
    if (kind < 25)
        value = random.word();
    else if (kind < 60)
        value = own_address(random, memory);
    else if (kind < 80)
        value = kernel_address(random);
    else
        value = edge(random);
    value = without_far_returns(value);
    give(task, value);
    return value;
}

uint16_t any_selector(random_numbers& random, uint16_t usual, uint32_t chance) {
    if (random.percent(chance))
        return usual;
    const uint16_t chosen =
        random.percent(20)
            ? static_cast<uint16_t>(random.next())
            : known_selectors[random.below(sizeof(known_selectors) / sizeof(known_selectors[0]))];
    // One that an IRET to ring 3 makes null: QEMU 7.2 keeps its base, the CPU's own data, until an
    // event loads the null selector.
#ifdef __i386__
    if ((chosen & 0xfffc) == KERNEL_PER_CPU_SELECTOR)
        return chosen | 3;
#endif
    return chosen;
}

uintptr_t any_flags(random_numbers& random) {
    if (random.percent(8))
        return random.next() & X86_FLAGS_KNOWN;
    uintptr_t flags = user::to_user_flags(random.next());
    if (random.percent(70))
        flags &= ~uintptr_t{X86_FLAGS_TF};
    if (random.percent(70))
        flags &= ~uintptr_t{X86_FLAGS_NT};
    return flags;
}

uintptr_t random_numbers::word() {
    uintptr_t value = next();
    if constexpr (is_64)
        value = value << 16 << 16 | next();
    return value;
}

} // namespace kernel
