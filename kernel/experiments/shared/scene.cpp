// SPDX-License-Identifier: MIT
#include "kernel/experiments/shared/scene.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/common/image.hpp"
#include "kernel/console/command_line.hpp"
#include "kernel/console/console.hpp"
#include "kernel/cpu/descriptor_tables.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/devices/apic.hpp"
#include "kernel/devices/hpet.hpp"
#include "kernel/events/contexts.hpp"
#include "kernel/experiments/shared/windows.h"
#include "kernel/memory/address_space.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/memory/test_page.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

using nmisafe::x86::trap_frame;

constinit nmi_scene scene{};

namespace {

constexpr uint32_t explained_failures = 5;
constexpr uintptr_t recorded_text = 512 * 1024;

checkpoint way_out;
uint8_t recorded_ips[recorded_text / 8];
uint8_t recorded_others[page_size / 8];

/// Compared word by word: a nested NMI on the same stack leaves its own frame here.
bool same_frame(const trap_frame& a, const trap_frame& b) {
    const auto* x = reinterpret_cast<const volatile uintptr_t*>(&a);
    const auto* y = reinterpret_cast<const volatile uintptr_t*>(&b);
    for (unsigned i = 0; i < sizeof(trap_frame) / sizeof(uintptr_t); ++i)
        if (x[i] != y[i])
            return false;
    return true;
}

const trap_frame* outer_frame;
trap_frame outer_copy;

void set_bit(uint8_t* bits, uintptr_t number) {
    bits[number / 8] = static_cast<uint8_t>(bits[number / 8] | 1U << number % 8);
}

bool is_set(const uint8_t* bits, uintptr_t number) {
    return (bits[number / 8] >> number % 8 & 1) != 0;
}

/// Whether the interrupted code was on the stack that this NMI has just begun anew: then the frame
/// of an NMI in progress is overwritten. On x86-32 an NMI stays on the interrupted stack.
bool runs_over_nmi_stack([[maybe_unused]] const trap_frame& frame) {
#ifdef __x86_64__
    const auto top = reinterpret_cast<uintptr_t>(&frame + 1);
    const uintptr_t end = top + sizeof(nmisafe::trap::nmi_block); // the exit's RSP is in the block
    return frame.sp <= end && frame.sp > top - page_size;
#else
    return false;
#endif
}

} // namespace

void handle_scene_nmi(trap_frame& frame) {
    const traced_nmi here(frame);
    ++scene.count.handled;
    scene.honoured = scene.tickets;
    scene.sender_honoured = scene.sender_tickets;
    const bool overwritten = !scene.distrusts_sp && runs_over_nmi_stack(frame);
    if (scene.in_handler || overwritten) {
        ++scene.count.nested;
        if (overwritten || (outer_frame != nullptr && !same_frame(*outer_frame, outer_copy)))
            ++scene.count.corrupted;
        abandon();
    }
    expect_direction_flag_clear();
    scene.in_handler = true;
    outer_copy = frame;
    outer_frame = &frame;
    if (scene.record_ip) {
        scene.record_ip = false;
        record_address(frame.ip);
    }
    if (scene.body != nullptr)
        scene.body(frame);
    if (!same_frame(frame, outer_copy))
        ++scene.count.corrupted;
    outer_frame = nullptr;
    if (scene.edit != nullptr)
        scene.edit(frame);
    scene.in_handler = false;
}

/// A breakpoint's frame in the very place of the NMI's: #BP was given the NMI's stack.
bool handle_scene_breakpoint(trap_frame& frame) {
    const traced_trap here(frame);
    ++scene.breakpoints;
    expect_direction_flag_clear();
    if (&frame == outer_frame) {
        ++scene.count.corrupted;
        abandon();
    }
    return true;
}

/// Maps the test page that is missing. An address that is no test page, or one that is mapped
/// already, is what a CR2 changed under the handler's feet looks like.
bool handle_scene_page_fault(trap_frame& frame, uintptr_t address) {
    ++scene.page_faults;
    show_resume_flag(frame);
    expect_direction_flag_clear();
    const unsigned number = find_test_page(address);
    if (number == test_pages) {
        if (!resolve_lazy_fault(frame, address))
            return false;
    } else {
        if (test_page_is_mapped(number))
            fail("page fault on a page that is mapped: CR2 was changed", 0, address);
        map_test_page(number);
    }
    const traced_trap here(frame);
    trace_page_fault(frame, address, false);
    return true;
}

void set_scene(void (*body)(trap_frame&)) {
    scene = nmi_scene{};
    scene.body = body;
    outer_frame = nullptr;
    clear_recorded();
    this_cpu().nmisafe.iret_returns_in_nmi = 0;
    nmisafe::trap::set_nmi_handler(handle_scene_nmi);
    nmisafe::trap::set_handler(X86_VECTOR_BP, handle_scene_breakpoint);
    nmisafe::trap::set_page_fault_handler(handle_scene_page_fault);
}

[[gnu::noinline]] bool run_guarded(void (*action)()) {
    if (checkpoint_save(way_out))
        return false;
    action();
    return true;
}

[[gnu::noinline]] void run_to_the_end(void (*action)()) {
    static_cast<void>(checkpoint_save(way_out));
    action();
}

void abandon() {
    outer_frame = nullptr;
    scene.in_handler = false;
    checkpoint_resume(way_out);
}

void raise_nmi_here() {
    ++scene.tickets;
    ++scene.count.raised;
    if (this_cpu().nmisafe.nmi_in_progress != 0 && !is_removed(defence::target)) {
        const local_apic::kept_target kept;
        send_nmi_to_self();
    } else {
        send_nmi_to_self();
    }
}

void raise_nmi_in_window(nmi_window* window) {
    ++scene.tickets;
    ++scene.count.raised;
    local_apic::command_high() = local_apic::id() & 0xff000000;
    window(&local_apic::command_low(), local_apic::deliver_nmi | local_apic::level_assert);
}

uint32_t ticks_in(uint32_t microseconds) {
    return microseconds * ticks_per_microsecond();
}

void settle() {
    if (!wait_for([] { return scene.honoured == scene.tickets; })) {
        ++scene.count.lost;
        scene.honoured = scene.tickets;
    }
}

void fail(const char* what, uintptr_t expected, uintptr_t found) {
    ++scene.count.failures;
    if (scene.count.failures <= explained_failures)
        print("@fail what=\"", what, "\" expected=", hex{expected}, " found=", hex{found}, "\n");
}

void show_resume_flag(trap_frame& frame) {
    frame.flags |= X86_FLAGS_RF;
}

void expect_direction_flag_clear() {
    if ((nmisafe::x86::read_flags() & X86_FLAGS_DF) != 0)
        fail("DF in a handler", 0, X86_FLAGS_DF);
}

void set_nmi_window_hook([[maybe_unused]] void (*hook)()) {
#ifdef NMISAFE_TRAP_CONTROLS
    nmi_window_hook = hook;
#else
    fail("this image has no lock checker", 1, 0);
#endif
}

void hit_breakpoint() {
    asm volatile("int3" : : : "memory");
}

void touch_page(unsigned number) {
    *static_cast<volatile uint8_t*>(test_page(number)) = 1;
}

bool test_page_is_mapped(unsigned number) {
    constexpr uintptr_t present = 1;
    const auto address = reinterpret_cast<uintptr_t>(test_page(number));
    return (*find_entry(kernel_space(), address) & present) != 0;
}

void gather_unsafe_irets() {
    uint32_t sum = 0;
    for (uint32_t id = 0; id < cpu_count(); ++id) {
        sum += cpu_at(id).nmisafe.iret_returns_in_nmi;
        cpu_at(id).nmisafe.iret_returns_in_nmi = 0;
    }
    this_cpu().nmisafe.iret_returns_in_nmi = sum;
}

void print_row(const char* path, bool delivered_at_once, extra_number extra) {
    if (this_cpu().nmisafe.nmi_in_progress != 0)
        fail("NMIs in progress when all is over", 0, this_cpu().nmisafe.nmi_in_progress);
    if (this_cpu().nmisafe.nmi_like_in_progress != 0)
        fail("#DB and #MC in progress", 0, this_cpu().nmisafe.nmi_like_in_progress);
    const auto& count = scene.count;
    console_line line;
    line.put("@row");
    const auto put = [&line](const char* key, auto value) {
        line.put(' ');
        line.put(key);
        line.put('=');
        line.put(value);
    };
    if (path != nullptr)
        put("path", path);
    put("boundaries", uint32_t{count.boundaries});
    put("nmis_raised", uint32_t{count.raised});
    put("nmis_handled", uint32_t{count.handled});
    put("nested", uint32_t{count.nested});
    put("lost", uint32_t{count.lost});
    put("corrupted", uint32_t{count.corrupted});
    put("unsafe_irets", this_cpu().nmisafe.iret_returns_in_nmi);
    put("failures", uint32_t{count.failures});
    put("delivered", delivered_at_once);
    if (extra.key != nullptr)
        put(extra.key, extra.value);
    line.put('\n');
}

namespace {

void print_recorded(const char* path, const uint8_t* bits, uintptr_t size, uintptr_t begin) {
    unsigned on_line = 0;
    for (uintptr_t offset = 0; offset < size; ++offset) {
        if (!is_set(bits, offset))
            continue;
        if (on_line == 0)
            print("@rips path=", path, " list=");
        print(on_line == 0 ? "" : ",", hex{begin + offset});
        if (++on_line == 16) {
            print("\n");
            on_line = 0;
        }
    }
    if (on_line != 0)
        print("\n");
}

} // namespace

void print_recorded(const char* path) {
    print_recorded(path, recorded_ips, recorded_text, text_address(kernel_text_begin));
    print_recorded(path, recorded_others, page_size, scene.other_text);
}

void print_window(const char* path, const char* begin, const char* end) {
    print("@window path=", path, " begin=", hex{reinterpret_cast<uintptr_t>(begin)},
          " end=", hex{reinterpret_cast<uintptr_t>(end)}, "\n");
}

void print_measure(const char* name, const char* from, const char* to, uint32_t items) {
    print("@measure name=", name, " from=", hex{reinterpret_cast<uintptr_t>(from)},
          " to=", hex{reinterpret_cast<uintptr_t>(to)}, " items=", items, "\n");
}

void record_address(uintptr_t ip) {
    if (scene.other_text != 0 && ip - scene.other_text < page_size) {
        set_bit(recorded_others, ip - scene.other_text);
        return;
    }
    const uintptr_t offset = ip - text_address(kernel_text_begin);
    if (ip >= text_address(kernel_text_begin) && ip < text_address(kernel_text_end) &&
        offset < recorded_text)
        set_bit(recorded_ips, offset);
    else
        fail("an NMI was delivered outside the kernel's text", text_address(kernel_text_begin), ip);
}

bool is_recorded(uintptr_t ip) {
    const uintptr_t offset = ip - text_address(kernel_text_begin);
    return offset < recorded_text && is_set(recorded_ips, offset);
}

void clear_recorded() {
    for (auto& byte : recorded_ips)
        byte = 0;
    for (auto& byte : recorded_others)
        byte = 0;
}

uint32_t recorded() {
    uint32_t sum = 0;
    for (const uint8_t byte : recorded_ips)
        for (unsigned bit = 0; bit < 8; ++bit)
            sum += byte >> bit & 1U;
    return sum;
}

} // namespace kernel
