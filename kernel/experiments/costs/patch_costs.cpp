// SPDX-License-Identifier: MIT
// patch-costs: how many instructions text_patch::apply() takes on one CPU for batches of 1, 100 and
// 10,000 sites, sorted as they come. The tool counts them in QEMU's log. The other CPUs' part,
// three interrupts each, does not depend on the batch. With part=small without the 10,000, whose log has 7 million lines.
#include "kernel/console/command_line.hpp"
#include "kernel/experiments/experiments.hpp"
#include "kernel/experiments/shared/patch_windows.h"
#include "kernel/experiments/shared/scene.hpp"
#include "nmisafe/text_patch/text_patch.hpp"
#include "nmisafe/x86/assembly_call.hpp"
#include "nmisafe/x86/registers.hpp"

namespace kernel {
namespace {

using namespace nmisafe;

constexpr uint8_t mov_to_eax = 0xb8;

text_patch::patch batch[PATCH_COST_SITES];
uint32_t batch_size;
bool applied;

/// The lowest byte of the immediate operand of site `number`.
uint8_t operand(uint32_t number) {
    const auto* const sites = reinterpret_cast<const volatile uint8_t*>(patch_cost_sites);
    return sites[number * PATCH_COST_SITE_SIZE + 1];
}

/// `value` is another one for each batch, so that none finds its work done.
void measure_batch(const code_window& window, const char* name, uint32_t count, uint8_t value) {
    for (uint32_t i = 0; i < count; ++i) {
        text_patch::patch& site = batch[i];
        site = {};
        site.address = reinterpret_cast<uintptr_t>(patch_cost_sites) + i * PATCH_COST_SITE_SIZE;
        site.size = PATCH_COST_SITE_SIZE;
        site.before[0] = site.after[0] = mov_to_eax;
        site.before[1] = operand(i);
        site.after[1] = value;
    }
    batch_size = count;
    applied = false;
    print_measure(name, window.begin, window.end, count);
    window.run();
    if (!applied)
        fail("the patcher refused", 1, 0);
    for (uint32_t i = 0; i < count; ++i)
        if (operand(i) != value)
            fail("a site's operand", value, operand(i));
    scene.count.boundaries += count;
}

} // namespace

extern "C" [[NMISAFE_ASSEMBLY_CALL]] void patch_cost_action() {
    applied = text_patch::apply(batch, batch_size).has_value();
}

void patch_costs() {
    x86::disable_interrupts();
    set_scene(nullptr);
    measure_batch({window_patch_1, window_patch_1_begin, window_patch_1_end}, "patch-1", 1, 1);
    measure_batch({window_patch_100, window_patch_100_begin, window_patch_100_end}, "patch-100",
                  100, 2);
    if (option("part") != "small")
        measure_batch({window_patch_10000, window_patch_10000_begin, window_patch_10000_end},
                      "patch-10000", PATCH_COST_SITES, 3);
    print_row("apply");
}

} // namespace kernel
