// SPDX-License-Identifier: MIT
#include "nmisafe/profiler/guarded_load.hpp"
#include "nmisafe/profiler/sample.hpp"

#include "nmisafe/trap/trap.hpp"
#include "nmisafe/vmalloc/vmalloc.hpp"

using namespace nmisafe;

#ifdef __x86_64__
constexpr uintptr_t STACKS_BEGIN = 0xffff'8000'0000'0000;
constexpr uintptr_t STACKS_END = 0xffff'9000'0000'0000;
constexpr uintptr_t USER_END = 0x7fff'ffff'f000;
constexpr uintptr_t shared_begin = 0xffff'c000'0000'0000;
constexpr vmalloc::area buffers(shared_begin, shared_begin + (uintptr_t{1} << 39), 4);
#else
constexpr uintptr_t STACKS_BEGIN = 0xc000'0000;
constexpr uintptr_t STACKS_END = 0xd000'0000;
constexpr uintptr_t USER_END = 0xbfff'f000;
constexpr vmalloc::area buffers(0xe000'0000, 0xf000'0000, 2);
#endif
constexpr uintptr_t STACK_SIZE = 16384;
bool is_periodic();

constexpr profiler::chain_rules rules{{{STACKS_BEGIN, STACKS_END}, STACK_SIZE},
                                      {{0x1000, USER_END}, 8 << 20}};

void on_nmi(x86::trap_frame& frame) {
    if (is_periodic())
        profiler::take_sample(frame, rules);
}

bool on_page_fault(x86::trap_frame& frame, uintptr_t address) {
    return vmalloc::handle_fault(buffers, frame, address) == vmalloc::fault::resolved ||
           profiler::handle_fault(frame);
}

void boot() {
    trap::set_handler(X86_VECTOR_GP, profiler::handle_fault);
}
