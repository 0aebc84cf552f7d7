// SPDX-License-Identifier: MIT
// module-mutated: 1,000 damaged copies of each of two modules are offered to the running kernel.
// Each is loaded or refused, and when it has been unloaded again nothing of it is left.
//
//   loaded   the module nmi_probe, which has everything; nothing of it runs
//   joined   the module tables, which has no code that could run: its sites and markers are joined,
//            and leave, if they too pass for sound
//   numbers  modules without code, as many as there is room for, and one more (module_numbers.cpp)
#include "kernel/console/console.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/modules/module_numbers.hpp"
#include "kernel/experiments/modules/module_remains.hpp"
#include "kernel/experiments/shared/patched_sites.hpp"
#include "kernel/experiments/shared/scene.hpp"
#include "kernel/memory/lazy_areas.hpp"
#include "kernel/modules/modules.hpp"

namespace kernel {
namespace {

using namespace nmisafe;
using module_loader::load_error;
using module_loader::module_state;

constexpr uint32_t copies = 1000;
constexpr uint32_t copies_per_nmi = 100;

constinit kernel_module module{};
uint8_t* buffer;

/// The same numbers in each run. [Marsaglia, Xorshift RNGs, 2003]
class random_numbers {
  public:
    explicit random_numbers(uint32_t seed) : state_(seed) {}
    uint32_t below(uint32_t limit) {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 17;
        state_ ^= state_ << 5;
        return state_ % limit;
    }

  private:
    uint32_t state_;
};

/// One change: a bit, a byte, or a word that is likely to be an edge.
void damage_once(random_numbers& random, size_t size) {
    constexpr uint32_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000, ~0U};
    const uint32_t at = random.below(static_cast<uint32_t>(size) - 4);
    switch (random.below(3)) {
    case 0:
        buffer[at] = static_cast<uint8_t>(buffer[at] ^ 1U << random.below(8));
        break;
    case 1:
        buffer[at] = static_cast<uint8_t>(random.below(256));
        break;
    default:
        const uint32_t word = edges[random.below(sizeof edges / sizeof edges[0])];
        __builtin_memcpy(buffer + at, &word, sizeof word);
    }
}

/// @return the size of the copy.
size_t make_copy(const boot_module& from, random_numbers& random) {
    __builtin_memcpy(buffer, from.bytes, from.size);
    for (uint32_t changes = 1 + random.below(4); changes != 0; --changes)
        damage_once(random, from.size);
    return random.below(16) == 0 ? random.below(static_cast<uint32_t>(from.size)) : from.size;
}

struct results {
    uint32_t refused;       // by load()
    uint32_t start_refused; // by what is joined
    uint32_t accepted;
};

void offer(size_t size, bool start, results& counts) {
    if (!load_module(module, buffer, size)) {
        ++counts.refused;
        return;
    }
    if (start && !start_module(module)) { // then it is unloaded
        ++counts.start_refused;
        return;
    }
    ++counts.accepted;
    if (!unload_module(module))
        fail("a module could be unloaded", 1, 0);
}

void run(const char* path, text name, bool start) {
    set_scene([](nmisafe::x86::trap_frame&) {});
    set_up_patching();
    const boot_module object = find_boot_module(name);
    const auto made = vmalloc::vmalloc(vmalloc_area, object.size, vmalloc::permission::read_write);
    if (!made)
        return fail("a buffer", 0, static_cast<uintptr_t>(made.error()));
    buffer = static_cast<uint8_t*>(*made);

    // Undamaged it is taken.
    results counts{};
    __builtin_memcpy(buffer, object.bytes, object.size);
    offer(object.size, start, counts);
    if (counts.accepted != 1)
        fail("the module as it is", 1, counts.accepted);

    const module_remains before = look_for_remains();
    counts = {};
    random_numbers random(20080410);
    for (uint32_t i = 0; i < copies; ++i) {
        offer(make_copy(object, random), start, counts);
        if (module.loaded.state() != module_state::empty)
            fail("the module's state", 0, static_cast<uintptr_t>(module.loaded.state()));
        expect_nothing_left(before);
        if (i % copies_per_nmi == 0) {
            raise_nmi_here();
            settle();
        }
    }
    if (counts.refused == 0 || counts.accepted == 0)
        fail("refused and accepted", 1, 0);
    scene.count.boundaries = copies;
    print(path, ": refused ", counts.refused, ", by what is joined ", counts.start_refused,
          ", accepted ", counts.accepted, "\n");
    print_row(path, false, {"refused", counts.refused + counts.start_refused});
    if (!vmalloc::vfree(vmalloc_area, buffer))
        fail("the buffer could be freed", 1, 0);
}

} // namespace

void module_mutated() {
    run("loaded", "nmi_probe", false);
    run("joined", "tables", true);
    try_module_numbers();
}

} // namespace kernel
