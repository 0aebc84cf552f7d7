// SPDX-License-Identifier: MIT
#include "kernel/experiments/user/hostile_code.hpp"

#include "kernel/cpu/per_cpu.hpp"
#include "kernel/cpu/vectors.hpp"
#include "kernel/experiments/user/hostile_values.hpp"
#include "nmisafe/x86/flags.h"

namespace kernel {

namespace {

using namespace nmisafe;

constexpr bool is_64 = sizeof(uintptr_t) == 8;

// --- code ----------------------------------------------------------------------------------------

// clang-format off
/// Instructions as they are, the first byte their length.
constexpr uint8_t plain_instructions[][5] = {
    {1, 0xcc},             // INT3
    {1, 0xf1},             // ICEBP
    {1, 0xce},             // INTO
    {1, 0xc3},             // RET
    {1, 0x9d},             // POPF
    {1, 0x9c},             // PUSHF
    {2, 0x0f, 0x05},       // SYSCALL
    {2, 0x0f, 0x07},       // SYSRET
    {3, 0x48, 0x0f, 0x07}, //
    {2, 0x0f, 0x34},       // SYSENTER
    {2, 0x0f, 0x35},       // SYSEXIT
    {1, 0x17},             // POP SS
    {1, 0x1f},             // POP DS
    {1, 0x07},             // POP ES
    {2, 0x0f, 0xa1},       // POP FS
    {2, 0x0f, 0xa9},       // POP GS
    {1, 0xf4},             // HLT
    {1, 0xfa},             // CLI
    {1, 0xfb},             // STI
    {1, 0xec},             // IN
    {1, 0xee},             // OUT
    {2, 0x0f, 0x0b},       // UD2
    {3, 0x0f, 0x01, 0xf8}, // SWAPGS
    {3, 0x0f, 0x01, 0xca}, // CLAC
    {3, 0x0f, 0x01, 0xcb}, // STAC
    {3, 0x0f, 0x22, 0xd8}, // MOV CR3
    {3, 0x0f, 0x23, 0xf8}, // MOV DR7
    {2, 0x0f, 0x30},       // WRMSR
    {2, 0x0f, 0x32},       // RDMSR
    {3, 0x0f, 0x00, 0xd8}, // LTR
    {3, 0x0f, 0x00, 0xd0}, // LLDT
    {3, 0x0f, 0x01, 0x10}, // LGDT
    {3, 0x0f, 0x03, 0xc1}, // LSL
    {3, 0x0f, 0x02, 0xc1}, // LAR
    {3, 0x0f, 0x00, 0xe1}, // VERR
    {3, 0x0f, 0xb2, 0x20}, // LSS
    {1, 0x94},             // XCHG ESP, EAX
    {1, 0x90},             // NOP
    {1, 0x50},             // PUSH
    {1, 0x5c},             // POP ESP
    {1, 0x58},             // POP
    {2, 0x8a, 0x06},       // MOV from memory
    {1, 0xfd},             // STD
    {1, 0xfc},             // CLD
    // Not in listed tasks from here on: they write bytes.
    {2, 0x88, 0x03}, // MOV to memory
    {1, 0xa4},       // MOVS
    {2, 0xf3, 0xaa}, // REP STOS
};
// clang-format on
constexpr uint32_t all_plain = sizeof(plain_instructions) / sizeof(plain_instructions[0]);
constexpr uint32_t writing_bytes = 3;

/// Puts instructions down, as long as there is room.
class assembler {
  public:
    assembler(uint8_t* begin, uint8_t* end) : at_(begin), end_(end) {}
    void put(uint8_t byte) {
        if (at_ != end_)
            *at_++ = without_far_returns(byte);
    }
    void put_value(uintptr_t value, unsigned bytes) {
        for (unsigned i = 0; i < bytes; ++i)
            put(static_cast<uint8_t>(value >> 8 * i));
    }
    bool is_full() const { return at_ == end_; }

  private:
    uint8_t* at_;
    uint8_t* end_;
};

void put_interrupt(random_numbers& random, assembler& code) {
    constexpr uint8_t known[] = {0x80, 0x80, 0x80, 3, 1, 2, 4, 8, 13, 14, 18, 0x20, 0xe1, 0xff};
    code.put(0xcd);
    code.put(random.percent(20) ? static_cast<uint8_t>(random.next())
                                : known[random.below(sizeof(known))]);
}

/// MOV of a value into a register: any but the stack pointer twice as often as that.
void put_load(random_numbers& random, const hostile_pages& memory, hostile_task& task,
              assembler& code) {
    if (is_64)
        code.put(0x48);
    code.put(static_cast<uint8_t>(0xb8 + random.below(8)));
    code.put_value(any_value(random, memory, task), sizeof(uintptr_t));
}

/// A selector into a segment register; of SS it holds off a watchpoint's #DB until after the next
/// instruction, which is often the way into the kernel.
void put_segment(random_numbers& random, assembler& code) {
    constexpr uint8_t registers[] = {0xd0, 0xd0, 0xd8, 0xc0, 0xe0, 0xe8}; // SS, SS, DS, ES, FS, GS
    const bool from_memory = random.percent(40);
    code.put(0x66);
    code.put(0xb8);
    code.put_value(any_selector(random, KERNEL_USER_DATA_SELECTOR, 60), 2);
    const uint8_t which = registers[random.below(sizeof(registers))];
    code.put(0x8e);
    code.put(from_memory ? static_cast<uint8_t>((which & 0x38) | 6) : which); // (E)SI, or AX
    if (random.percent(50)) {
        constexpr uint8_t ways_in[][2] = {{0xcd, 0x80}, {0x0f, 0x34}, {0x0f, 0x05}, {0xcc, 0x90}};
        const auto& way = ways_in[random.below(4)];
        code.put(way[0]);
        code.put(way[1]);
    }
}

void put_far_jump(random_numbers& random, const hostile_pages& memory, hostile_task& task,
                  assembler& code) {
    if (is_64) {
        code.put(0xff); // by memory
        code.put(0x2e);
        return;
    }
    code.put(0xea);
    code.put_value(any_value(random, memory, task), 4);
    code.put_value(any_selector(random, KERNEL_USER_CODE_SELECTOR, 50), 2);
}

void put_instruction(random_numbers& random, const hostile_pages& memory, hostile_task& task,
                     assembler& code) {
    const uint32_t kind = random.below(100);
    if (kind < 15) {
        put_interrupt(random, code);
    } else if (kind < 30) {
        put_load(random, memory, task, code);
    } else if (kind < 50) {
        put_segment(random, code);
    } else if (kind < 55) {
        put_far_jump(random, memory, task, code);
    } else if (kind < 92 || task.is_listed) {
        const auto& chosen = plain_instructions[random.below(
            task.is_listed ? all_plain - writing_bytes : all_plain)];
        for (unsigned i = 1; i <= chosen[0]; ++i)
            code.put(chosen[i]);
    } else {
        for (uint32_t bytes = 1 + random.below(15); bytes != 0; --bytes)
            code.put(static_cast<uint8_t>(random.next()));
    }
}

constexpr unsigned code_room = 192;

void put_code(random_numbers& random, const hostile_pages& memory, hostile_task& task) {
    assembler code(memory.code.contents, memory.code.contents + code_room);
    const uint32_t instructions = 1 + random.below(12);
    for (uint32_t i = 0; i < instructions; ++i)
        put_instruction(random, memory, task, code);
    code.put(0xcd);
    code.put(static_cast<uint8_t>(vector::system_call));
}

/// INT 0x80 wherever a task jumps to.
void fill(uint8_t* page) {
    auto* words = reinterpret_cast<uintptr_t*>(page);
    uintptr_t count = page_size / sizeof(uintptr_t);
    constexpr auto pattern = static_cast<uintptr_t>(0x80cd80cd80cd80cd);
    if constexpr (is_64)
        asm volatile("rep stosq" : "+D"(words), "+c"(count) : "a"(pattern) : "memory");
    else
        asm volatile("rep stosl" : "+D"(words), "+c"(count) : "a"(pattern) : "memory");
}

/// Words that POP and IRET may take.
void put_stack(random_numbers& random, const hostile_pages& memory, hostile_task& task) {
    auto* const words = reinterpret_cast<uintptr_t*>(memory.stack.contents + page_size / 2);
    for (unsigned i = 0; i < 12; ++i)
        words[i] = without_far_returns(random.percent(40)
                                           ? any_selector(random, KERNEL_USER_DATA_SELECTOR, 40)
                                           : any_value(random, memory, task));
}

void put_pages(random_numbers& random, const hostile_pages& memory, hostile_task& task) {
    fill(memory.code.contents);
    fill(memory.stack.contents);
    fill(memory.data.contents);
    memory.code.contents[fast_echo_offset] = 0x0f;
    memory.code.contents[fast_echo_offset + 1] = is_64 ? 0x05 : 0x34; // SYSCALL, SYSENTER
    put_code(random, memory, task);
    put_stack(random, memory, task);
}

// --- registers -----------------------------------------------------------------------------------

void set_registers(random_numbers& random, const hostile_pages& memory, hostile_task& task) {
    x86::trap_frame& trap = task.frame.trap;
    const auto any = [&] { return any_value(random, memory, task); };
    trap.ax = any();
    trap.bx = any();
    trap.cx = any();
    trap.dx = any();
    trap.si = any();
    trap.di = any();
    trap.bp = any();
#ifdef __x86_64__
    uint64_t* const high[] = {&trap.r8,  &trap.r9,  &trap.r10, &trap.r11,
                              &trap.r12, &trap.r13, &trap.r14, &trap.r15};
    for (uint64_t* const which : high)
        *which = any();
    task.fs_base = own_address(random, memory);
    task.gs_base =
        random.percent(50) ? own_address(random, memory) : reinterpret_cast<uintptr_t>(&this_cpu());
#else
    uint32_t* const segments[] = {&task.frame.ds, &task.frame.es, &task.frame.fs, &task.frame.gs};
    for (uint32_t* const which : segments)
        *which = any_selector(random, KERNEL_USER_DATA_SELECTOR, 70);
#endif
    trap.cs = any_selector(random, KERNEL_USER_CODE_SELECTOR, 92);
    trap.flags = any_flags(random);
    trap.ip = random.percent(88) ? memory.code.address + (random.percent(90) ? 0 : random.below(64))
                                 : any();
    task.frame.sp() =
        random.percent(60) ? memory.stack.address + page_size / 2 : any_value(random, memory, task);
    task.frame.ss() = any_selector(random, KERNEL_USER_DATA_SELECTOR, 92);
    give(task, trap.ip);
    give(task, task.frame.sp());
}

void set_watchpoints(random_numbers& random, const hostile_pages& memory, hostile_task& task) {
    task.debug_control = X86_DR7_DISARMED;
    // Where a step and a watchpoint come together, QEMU 7.2 raises two #DBs, the second at the
    // first instruction of the first one's entry: on x86-64 over its frame, and so without end.
    if (is_64 || !random.percent(12))
        return;
    for (unsigned number = 0; number < 4; ++number) {
        task.watched[number] = own_address(random, memory) & ~uintptr_t{3};
        if (random.percent(50))
            task.watched[number] = task.frame.trap.si & ~uintptr_t{3};
        if (task.watched[number] >= KERNEL_DIRECT_BASE || !random.percent(50))
            continue;
        const uintptr_t kind = random.percent(70) ? 3 : 1; // read or write, or write
        task.debug_control |= uintptr_t{1} << 2 * number | kind << (16 + 4 * number) |
                              uintptr_t{random.below(2) * 3} << (18 + 4 * number);
    }
}

user_page make_page(address_space& space, uintptr_t address) {
    const uintptr_t physical = allocate_page();
    map_user(space, address, physical, true, true);
    return {address, static_cast<uint8_t*>(physical_to_virtual(physical))};
}

} // namespace

hostile_pages make_hostile_pages() {
    hostile_pages made{};
    made.space = create_address_space();
    made.stack = make_page(*made.space, 0x8000); // a 16-bit stack segment reaches it
    made.code = make_page(*made.space, 0x400000);
    made.data = make_page(*made.space, 0x800000);
    return made;
}

void make_hostile_task(uint32_t number, const hostile_pages& memory, hostile_task& task) {
    random_numbers random(number);
    task = {};
    task.is_listed = random.percent(60);
    put_pages(random, memory, task);
    set_registers(random, memory, task);
    set_watchpoints(random, memory, task);
}

void remake_hostile_pages(uint32_t number, const hostile_pages& memory) {
    random_numbers random(number);
    hostile_task task{};
    task.is_listed = random.percent(60);
    put_pages(random, memory, task);
}

bool may_have(const hostile_task& task, const hostile_pages& memory, uintptr_t value) {
    constexpr uintptr_t end_of_memory = 0x10000; // limits, and small numbers below zero
    constexpr uintptr_t slack = 0x10000;         // a load of AX, and what PUSH and the like add
    if (value < KERNEL_DIRECT_BASE || value >= uintptr_t{0} - end_of_memory)
        return true;
    for (unsigned i = 0; i < task.givens; ++i)
        if (value - task.given[i] + slack < 2 * slack)
            return true;
    for (unsigned i = 0; i < code_room; ++i) { // which it may have read as data
        uintptr_t word;
        __builtin_memcpy(&word, memory.code.contents + i, sizeof(word));
        if (value - word + slack < 2 * slack)
            return true;
    }
    return false;
}

} // namespace kernel
