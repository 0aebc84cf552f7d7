// SPDX-License-Identifier: MIT
#include "nmisafe/vmalloc/vmalloc.hpp"

using namespace nmisafe;

#ifdef __x86_64__
constexpr uintptr_t BEGIN = 0xffff'c000'0000'0000;
constexpr uintptr_t END = BEGIN + (uintptr_t{1} << 39);
constexpr vmalloc::area buffers(BEGIN, END, 4);
#else
constexpr vmalloc::area buffers(0xe000'0000, 0xf000'0000, 2);
#endif

void boot(uint64_t top_table) {
    const auto tables = vmalloc::set_up(buffers);
    const auto own = vmalloc::add_to(top_table, buffers);
}

void thread() {
    const auto memory = vmalloc::vmalloc(buffers, 20 << 20, vmalloc::permission::read_write);
    const auto code = vmalloc::set_permission(buffers, *memory, vmalloc::permission::execute);
    const auto freed = vmalloc::vfree(buffers, *memory);
}

bool on_page_fault(x86::trap_frame& frame, uintptr_t cr2) {
    return vmalloc::handle_fault(buffers, frame, cr2) == vmalloc::fault::resolved;
}
