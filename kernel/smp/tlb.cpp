// SPDX-License-Identifier: MIT
#include "kernel/smp/tlb.hpp"
#include "kernel/cpu/vectors.hpp"

#include "kernel/common/controls.hpp"
#include "kernel/memory/pages.hpp"
#include "kernel/smp/broadcast.hpp"
#include "nmisafe/trap/trap.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

constexpr uintptr_t most_single_pages = 32; // for more, all of the TLB goes

uintptr_t flushed_begin;
uintptr_t flushed_end;

void flush_own_tlb() {
    if (flushed_end - flushed_begin > most_single_pages * page_size) {
        x86::write_cr3(x86::read_cr3()); // no entry is global
        return;
    }
    for (uintptr_t page = flushed_begin; page < flushed_end; page += page_size)
        x86::invalidate_page(reinterpret_cast<const void*>(page));
}

constinit broadcast flushes(vector::flush_tlb, flush_own_tlb);

bool on_flush(x86::trap_frame&) {
    flushes.answer();
    return true;
}

} // namespace

void flush_tlb(uintptr_t begin, uintptr_t end) {
    flushed_begin = begin;
    flushed_end = end;
    if (is_removed(defence::shootdown))
        flush_own_tlb();
    else
        flushes.ask_all();
}

void set_up_tlb() {
    trap::set_handler(static_cast<uint8_t>(vector::flush_tlb), on_flush);
}

} // namespace kernel
