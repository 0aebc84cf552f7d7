// SPDX-License-Identifier: MIT
// A guest that damages a buffer's header while the tool is in the middle of reading it: nothing outside of the
// buffer is read or written. Around the block 4 GiB cannot be accessed: any word of the header that is believed
// a second time leads there.
#include "nmisafe/platform/fake/single_step.hpp"
#include "tool/memory/dead_machine_test.hpp"

#include <csetjmp>
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nmisafe/ring_buffer/read.hpp"

using namespace nmisafe;
using namespace nmisafe::tool;
using namespace nmisafe::tool::test;

namespace {

constexpr std::uint32_t sub_buffer = 256;
constexpr std::uint32_t slots = 4;
constexpr std::size_t block = ring_buffer::block_size(sub_buffer, slots);
constexpr std::size_t page = 4096;
constexpr std::size_t room = (block + page - 1) / page * page;
constexpr std::size_t around = std::size_t{4} << 30;

// The block's end is the end of what can be accessed: what is beside its beginning is less than a page.
std::uint8_t* map_between_guards() {
    void* const all = ::mmap(nullptr, 2 * around + room, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(all != MAP_FAILED);
    auto* const inside = static_cast<std::uint8_t*>(all) + around;
    REQUIRE(::mprotect(inside, room, PROT_READ | PROT_WRITE) == 0);
    return inside + room - block / 64 * 64;
}

std::uint8_t* memory;
ring_buffer::header* in;

void fill(ring_buffer::mode mode) {
    in = *ring_buffer::create(
        memory, block,
        {.sub_buffer_size = sub_buffer,
         .sub_buffer_count = slots,
         .mode = mode,
         .frequency = 1'000'000'000,
         .name = "kernel",
         // From a small one too large an index would lead to the block's end only.
         .first_position = 0x40000000});
    for (unsigned i = 0; i < 120; ++i) {
        const auto made = ring_buffer::reserve(*in, 3, 8, counting_clock{});
        if (made) {
            std::memset(made.payload, 0, 8);
            ring_buffer::commit(*in, made);
        }
    }
}

// What a guest can write: all that says where something is, or how much.
void damage(unsigned how) {
    static constexpr std::uint32_t values[] = {0xffffffff, 0x7fffffc0, 0x80000000,
                                               31,         0,          0x12345678};
    const std::uint32_t value = values[how % std::size(values)];
    for (std::uint32_t* word :
         {&in->slots, &in->records, &in->pages, &in->slot_count, &in->sub_buffer,
          &in->sub_buffer_mask, &in->slot_mask, &in->slot_position_shift, &in->lap_shift,
          &in->spare, &in->consumed, &in->offset}) {
        __atomic_store_n(word, value, __ATOMIC_RELAXED);
    }
    if (how % 2 == 0) {
        return;
    }
    // What the header's words lead to, too.
    in->mode ^= 1;
    auto* const words = reinterpret_cast<std::uint32_t*>(memory + sizeof(ring_buffer::header));
    const std::size_t end =
        slots * sizeof(ring_buffer::slot) + (slots + 1) * sizeof(ring_buffer::page_record);
    for (std::size_t i = 0; i < end / sizeof *words; ++i) {
        __atomic_store_n(&words[i], value, __ATOMIC_RELAXED);
    }
}
constexpr unsigned ways = 6;

std::uint8_t copied[sub_buffer];

// What record does with a packet, from the check on. `is_safe`: a control reads the header again.
void read_one(bool is_safe) {
    ring_buffer::view of{};
    if (!ring_buffer::open(memory, block, of)) {
        return;
    }
    if (!is_safe) {
        if (const auto found = ring_buffer::take(*in)) {
            std::memcpy(copied, found->header, found->content);
        }
        return;
    }
    ring_buffer::page_record record;
    if (of.mode == ring_buffer::mode::overwrite) {
        const std::uint32_t first = ring_buffer::oldest(of);
        static_cast<void>(ring_buffer::copy(of, first, copied, record));
        static_cast<void>(ring_buffer::was_delivered(of, first + of.sub_buffer));
    }
    if (const auto found = ring_buffer::take(of)) {
        std::memcpy(copied, found->header, found->content);
    }
    ring_buffer::release(of);
    static_cast<void>(ring_buffer::skip(of));
}

// Steps one read of a buffer like that, and damages it at that instruction. @return whether it got there
bool damage_at(ring_buffer::mode mode, unsigned when, unsigned how, bool is_safe) {
    bool is_reached = false;
    fill(mode);
    platform::fake::step_through([&] { read_one(is_safe); },
                                 [&](const platform::fake::boundary& at) {
                                     if (at.number == when) {
                                         is_reached = true;
                                         damage(how);
                                         platform::fake::stop_stepping();
                                     }
                                 });
    return is_reached;
}

// Each of the first instructions, among which are the checks; of what is behind, loops most of it, a share. A control
// takes all of them: it ends at the first that does harm, wherever a compiler has put that.
// @return at how many
unsigned damage_everywhere(bool is_safe) {
    constexpr unsigned closely = 150;
    const unsigned step = is_safe ? 149 : 1;
    unsigned count = 0;
    for (const auto mode : {ring_buffer::mode::discard, ring_buffer::mode::overwrite}) {
        for (unsigned how = 0; how < ways; ++how) {
            for (unsigned when = 0; damage_at(mode, when, how, is_safe);
                 when += when < closely ? 1 : step) {
                ++count;
            }
        }
    }
    return count;
}

} // namespace

TEST_CASE("a guest damages a buffer's header at any instruction of its reading") {
    memory = map_between_guards();
    CHECK(damage_everywhere(true) > 1000);
    // A control: who looks into the header again after it was checked is caught.
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        std::signal(SIGSEGV, SIG_DFL);
        std::signal(SIGBUS, SIG_DFL);
        damage_everywhere(false);
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
}
