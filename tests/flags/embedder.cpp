// SPDX-License-Identifier: MIT
// What a kernel adds to the trap text, and its uses of immediates, markers and exports. With
// PLANTED one function of the trap text is an ordinary one that calls out: the check must find it.
#include "nmisafe/kprobe/kprobe.hpp"
#include "nmisafe/marker/trace_mark.hpp"
#include "nmisafe/module_loader/exports.hpp"
#include "nmisafe/platform/contract.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/vmalloc/vmalloc.hpp"

using namespace nmisafe;

namespace embedder {

#ifdef __x86_64__
constexpr uintptr_t area_begin = 0xffff'c000'0000'0000;
constexpr vmalloc::area lazy(area_begin, area_begin + (uintptr_t{1} << 39), 4);
#else
constexpr vmalloc::area lazy(0xe000'0000, 0xf000'0000, 2);
#endif
static_assert(lazy.is_valid(nmisafe_platform::paging));

[[gnu::visibility("hidden")]] extern immediate::immediate<int> level;
[[gnu::visibility("hidden")]] extern immediate::immediate<bool> enabled;
constinit immediate::immediate<int> level;
constinit immediate::immediate<bool> enabled;

[[gnu::visibility("hidden")]] int exported_function(int value);
[[gnu::visibility("hidden")]] extern int exported_variable;
int exported_variable;

int exported_function(int value) {
    if (immediate::branch<enabled>()) [[unlikely]]
        trace_mark(flags, function, "value %d", value);
    exported_variable = value;
    return immediate::read<level>() + value;
}

[[NMISAFE_TRAP_TEXT, gnu::used]] bool on_breakpoint(x86::trap_frame& frame);
[[NMISAFE_TRAP_TEXT, gnu::used]] bool on_page_fault(x86::trap_frame& frame, uintptr_t address);

bool on_breakpoint(x86::trap_frame& frame) {
    return text_patch::handle_breakpoint(frame) || kprobe::handle_breakpoint(frame);
}

// Much that instrumentation and the stack protector look for: an array whose address escapes,
// signed arithmetic, shifts, a switch, an indirect call.
bool on_page_fault(x86::trap_frame& frame, uintptr_t address) {
    using handler = bool (*)(x86::trap_frame&);
    static handler handlers[4];
    char bytes[24];
    asm volatile("" : : "r"(bytes) : "memory");
    frame.ip = kprobe::original_address(frame.ip);
    for (unsigned i = 0; i < sizeof bytes; ++i)
        bytes[i] = static_cast<char>(address >> i);
    asm volatile("" : : "r"(bytes) : "memory");
    switch (vmalloc::handle_fault(lazy, frame, address)) {
    case vmalloc::fault::resolved:
        return true;
    case vmalloc::fault::not_here:
        return handlers[address % 4](frame);
    case vmalloc::fault::bad:
        break;
    }
    return bytes[address % sizeof bytes] == 0;
}

} // namespace embedder

NMISAFE_EXPORT_SYMBOL(embedder::exported_function);
NMISAFE_EXPORT_SYMBOL(embedder::exported_variable);

#ifdef PLANTED
int foreign(int value);
extern "C" [[gnu::section("nmisafe_trap_text"), gnu::used]] int planted(int value);
int planted(int value) {
    return foreign(value) + 1;
}
#endif

void nmisafe_platform::irq_enter_accounting() {
    hooks_called[2] += 1;
}
void nmisafe_platform::irq_exit_accounting() {
    hooks_called[2] -= 1;
}
void nmisafe_platform::capture_return(const platform::return_image& image) {
    hooks_called[3] += static_cast<uint32_t>(image.cs);
}
bool nmisafe_platform::is_no_probe(uintptr_t begin, uintptr_t end) {
    return begin < 0x1000 && end != 0;
}
uint8_t nmisafe_platform::direct_map[x86::page_size];
