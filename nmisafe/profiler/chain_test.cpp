// SPDX-License-Identifier: MIT
// Chains of frame pointers on the real CPU: a SIGSEGV is the page fault, and the #GP.
#include "nmisafe/profiler/chain.hpp"

#include "nmisafe/platform/hosted/nmisafe_platform.hpp"
#include "nmisafe/profiler/guarded_load.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <cstdlib>
#include <sys/mman.h>
#include <ucontext.h>

using namespace nmisafe;
using namespace nmisafe::profiler;

namespace {

constexpr uintptr_t page = 4096;
constexpr uintptr_t word = sizeof(uintptr_t);
constexpr uintptr_t everywhere = ~uintptr_t{0};

unsigned faults;

void on_fault(int, siginfo_t*, void* context) {
    auto* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    x86::trap_frame frame{};
    platform::hosted::for_each_register(registers, frame, [](const greg_t& from, uintptr_t& to) {
        to = static_cast<uintptr_t>(from);
    });
    ++faults;
    if (!handle_fault(frame))
        std::abort();
    platform::hosted::for_each_register(registers, frame, [](greg_t& to, const uintptr_t& from) {
        to = static_cast<greg_t>(from);
    });
}

void catch_faults() {
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    REQUIRE(sigaction(SIGSEGV, &action, nullptr) == 0);
    REQUIRE(sigaction(SIGBUS, &action, nullptr) == 0);
    faults = 0;
}

/// An address behind a call, as good as any.
uintptr_t code(uintptr_t number) {
    return reinterpret_cast<uintptr_t>(&catch_faults) + 1 + number;
}

/// A stack of four pages, of which the third is missing.
struct stack {
    uintptr_t begin;

    stack() {
        catch_faults();
        void* const memory =
            mmap(nullptr, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(memory != MAP_FAILED);
        begin = reinterpret_cast<uintptr_t>(memory);
        REQUIRE(mprotect(reinterpret_cast<void*>(begin + 2 * page), page, PROT_NONE) == 0);
    }
    ~stack() { munmap(reinterpret_cast<void*>(begin), 4 * page); }
    stack(const stack&) = delete;
    stack& operator=(const stack&) = delete;

    void put(uintptr_t offset, uintptr_t next, uintptr_t address) const {
        auto* const at = reinterpret_cast<uintptr_t*>(begin + offset);
        at[0] = next;
        at[1] = address;
    }
    chain_rules rules() const { return {{{begin, begin + 4 * page}, 4 * page}, {}}; }
};

x86::trap_frame frame_with([[maybe_unused]] uintptr_t sp, uintptr_t bp) {
    x86::trap_frame frame{};
    frame.bp = bp;
#ifdef __x86_64__
    frame.sp = sp;
#endif
    return frame;
}

/// A frame that lies on the stack, as x86-32's do: what was interrupted had its stack pointer right
/// above it.
struct on_stack {
    static constexpr uintptr_t offset = 0x100;
    x86::trap_frame& frame;

    explicit on_stack(const stack& where)
        : frame(*reinterpret_cast<x86::trap_frame*>(where.begin + offset)) {
        frame = frame_with(where.begin + offset + sizeof frame, 0);
    }
    static constexpr uintptr_t first = 0x400; // of frames of calls
};

struct walked {
    uintptr_t addresses[8] = {};
    chain_found found;

    walked(const x86::trap_frame& frame, const chain_rules& rules, size_t most = 8)
        : found(walk_chain(frame, rules, addresses, most)) {}
};

} // namespace

TEST_CASE("a load that is refused says so") {
    const stack memory;
    memory.put(0, 42, 0);
    uintptr_t value = 7;
    CHECK(guarded_load(memory.begin, value));
    CHECK(value == 42);
    CHECK(faults == 0);
    CHECK_FALSE(guarded_load(memory.begin + 2 * page, value));
    CHECK(value == 42);
    CHECK_FALSE(guarded_load(memory.begin + 2 * page - 1, value)); // half of it
    CHECK(faults == 2);
#ifdef __x86_64__
    CHECK_FALSE(guarded_load(uintptr_t{1} << 63, value)); // not canonical: #GP
    CHECK(faults == 3);
#endif
    CHECK(value == 42);
}

TEST_CASE("a fault elsewhere is not ours") {
    x86::trap_frame frame{};
    frame.ip = code(0);
    CHECK_FALSE(handle_fault(frame));
    CHECK(frame.ip == code(0));
}

TEST_CASE("a whole chain") {
    const stack memory;
    const on_stack top(memory);
    top.frame.bp = memory.begin + 0x400;
    memory.put(0x400, memory.begin + 0x410, code(1)); // right above
    memory.put(0x410, memory.begin + 3 * page, code(2));
    memory.put(3 * page, 0, code(3));
    const walked all(top.frame, memory.rules());
    CHECK(all.found.end == chain_end::outermost);
    REQUIRE(all.found.count == 3);
    CHECK(all.addresses[0] == code(1));
    CHECK(all.addresses[1] == code(2));
    CHECK(all.addresses[2] == code(3));
    CHECK(faults == 0);
    const walked two(top.frame, memory.rules(), 2);
    CHECK(two.found.end == chain_end::too_long);
    CHECK(two.found.count == 2);
    CHECK(two.addresses[2] == 0);
    const walked none(top.frame, memory.rules(), 0);
    CHECK(none.found.count == 0);
}

TEST_CASE("each kind of bad frame pointer ends a chain behind the good frames") {
    const stack memory;
    const on_stack top(memory);
    top.frame.bp = memory.begin + 0x400;
    const auto with = [&](uintptr_t bad, const chain_rules& rules) {
        memory.put(0x400, bad, code(1));
        const walked found(top.frame, rules);
        CHECK(found.found.count == 1);
        CHECK(found.addresses[0] == code(1));
        return found.found.end;
    };
    const chain_rules own = memory.rules();
    chain_rules wide = own;
    wide.kernel = {{0, everywhere}, everywhere};

    CHECK(with(0, own) == chain_end::outermost);
    CHECK(with(memory.begin + 2 * page, own) == chain_end::fault);
    CHECK(with(memory.begin + 2 * page - word, own) == chain_end::fault); // its second word
    CHECK(with(memory.begin + 2 * page + 8 * word, own) == chain_end::fault);
    CHECK(faults == 3);
    CHECK(with(memory.begin + 0x400, own) == chain_end::not_above);        // itself
    CHECK(with(memory.begin + 0x400 + word, own) == chain_end::not_above); // into its own frame
    CHECK(with(memory.begin + 0x200, own) == chain_end::not_above);
    CHECK(with(memory.begin - page, own) == chain_end::not_above);
    CHECK(with(memory.begin + 0x501, own) == chain_end::misaligned);
    CHECK(with(memory.begin + 0x500 + word / 2, own) == chain_end::misaligned);
    CHECK(with(memory.begin + 4 * page, own) == chain_end::outside);
    CHECK(with(memory.begin + 4 * page - word, own) == chain_end::outside);
    CHECK(with(everywhere & ~(word - 1), own) == chain_end::outside);
    CHECK(with(everywhere & ~(word - 1), wide) == chain_end::outside); // it would wrap around
    CHECK(faults == 3);
#ifdef __x86_64__
    CHECK(with(uintptr_t{1} << 63, wide) == chain_end::fault);
    CHECK(with(uintptr_t{1} << 47, wide) == chain_end::fault);
    CHECK(faults == 5);
#endif
    chain_rules narrow = own;
    narrow.kernel.largest = page;
    CHECK(with(memory.begin + 3 * page, narrow) == chain_end::outside);

    for (const uintptr_t bad : {uintptr_t{0}, memory.begin, everywhere}) {
        memory.put(0x500, 0, bad);
        CHECK(with(memory.begin + 0x500, own) == chain_end::no_code);
    }
}

TEST_CASE("the first frame pointer is no better") {
    const stack memory;
    const on_stack top(memory);
    const auto with = [&](uintptr_t bad) {
        top.frame.bp = bad;
        const walked found(top.frame, memory.rules());
        CHECK(found.found.count == 0);
        return found.found.end;
    };
    CHECK(with(0) == chain_end::outermost);
    CHECK(with(memory.begin) == chain_end::not_above); // below the stack pointer
    CHECK(with(memory.begin + 0x401) == chain_end::misaligned);
    CHECK(with(memory.begin + 2 * page) == chain_end::fault);
    CHECK(with(memory.begin + 5 * page) == chain_end::outside);
}

TEST_CASE("loops of several frames end") {
    const stack memory;
    const on_stack top(memory);
    top.frame.bp = memory.begin + 0x400;
    memory.put(0x400, memory.begin + 0x440, code(1));
    memory.put(0x440, memory.begin + 0x480, code(2));
    memory.put(0x480, memory.begin + 0x400, code(3));
    const walked found(top.frame, memory.rules());
    CHECK(found.found.end == chain_end::not_above);
    CHECK(found.found.count == 3);
}

TEST_CASE("user mode's memory is read where that was said, and the kernel's is not") {
    const stack memory;
    x86::trap_frame frame = frame_with(everywhere, memory.begin + 0x400);
    frame.cs = 0x2b;
    memory.put(0x400, memory.begin + 0x440, memory.begin + 0x10);
    memory.put(0x440, 0, memory.begin + 0x20);
    chain_rules rules = memory.rules();
    CHECK(walked(frame, rules).found.end == chain_end::outside);
    CHECK(walked(frame, rules).found.count == 0);
    rules.user = rules.kernel;
    rules.kernel = {};
    const walked found(frame, rules);
    CHECK(found.found.end == chain_end::outermost);
    CHECK(found.found.count == 2);
    memory.put(0x440, 0, code(1)); // none of its own
    CHECK(walked(frame, rules).found.end == chain_end::no_code);
    rules.user.where.end = memory.begin + 0x440;
    CHECK(walked(frame, rules).found.end == chain_end::outside);
    CHECK(faults == 0);
}

namespace {

volatile unsigned sink;

[[gnu::noinline]] size_t walk_below(unsigned depth, uintptr_t* addresses, size_t most) {
    if (depth != 0) {
        const size_t found = walk_below(depth - 1, addresses, most);
        sink = depth;
        return found;
    }
    const auto bp = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    // As x86-32 has it: the frame of the trap lies below what was interrupted.
    const x86::trap_frame frame = frame_with(bp, bp);
    const chain_rules rules{{{0, everywhere}, everywhere}, {}};
    return walk_chain(frame, rules, addresses, most).count;
}

} // namespace

TEST_CASE("the chain of a compiler's own frames") {
    catch_faults();
    uintptr_t addresses[64];
    constexpr unsigned depth = 10;
    REQUIRE(walk_below(depth, addresses, 64) > depth);
    for (unsigned i = 1; i < depth; ++i)
        CHECK(addresses[i] == addresses[0]); // all from the same call
    CHECK(addresses[depth] != addresses[0]);
}

TEST_CASE("whatever lies on a stack, a walk ends") {
    const stack memory;
    const on_stack top(memory);
    uint64_t state = 1;
    const auto next = [&state](uintptr_t below) {
        state = state * 6364136223846793005 + 1442695040888963407; // Knuth's MMIX
        return static_cast<uintptr_t>(state >> 33) % below;
    };
    const auto pointer = [&]() -> uintptr_t {
        switch (next(8)) {
        case 0:
            return static_cast<uintptr_t>(state);
        case 1:
            return 0;
        case 2:
            return memory.begin + next(4 * page);
        default:
            return memory.begin + next(4 * page / word) * word;
        }
    };
    for (uintptr_t at = on_stack::first; at < 4 * page; at += word) {
        if (at / page == 2)
            continue;
        *reinterpret_cast<uintptr_t*>(memory.begin + at) =
            next(3) == 0 ? code(next(16)) : pointer();
    }
    chain_rules rules = memory.rules();
    unsigned ends[7] = {};
    for (unsigned i = 0; i < 20'000; ++i) {
        rules.kernel.where =
            next(2) == 0 ? memory.rules().kernel.where : base::address_range{0, everywhere};
        top.frame.bp = pointer();
        const walked found(top.frame, rules);
        REQUIRE(found.found.count <= 8);
        for (size_t n = 0; n < found.found.count; ++n)
            REQUIRE(nmisafe_platform::is_text(found.addresses[n] - 1, found.addresses[n]));
        ++ends[static_cast<unsigned>(found.found.end)];
    }
    for (const chain_end kind : {chain_end::outermost, chain_end::misaligned, chain_end::outside,
                                 chain_end::not_above, chain_end::fault, chain_end::no_code})
        CHECK(ends[static_cast<unsigned>(kind)] > 0);
}
