// SPDX-License-Identifier: MIT
#include "tool/torture/plugin/memory.hpp"

#include <algorithm>

#include "tool/torture/plugin/output.hpp"

namespace nmisafe::torture {

void memory_writes::note(const machine& on, plugin_memory_info info, uint64_t address) {
    constexpr uint64_t largest_stack = 0x4000;
    plugin_hardware_address* const where = qemu_plugin_get_hwaddr(info, address);
    if (where == nullptr || qemu_plugin_hwaddr_is_io(where)) {
        return;
    }
    const uint64_t physical = qemu_plugin_hwaddr_phys_addr(where);
    const uint64_t size = uint64_t{1} << qemu_plugin_mem_size_shift(info);
    const uint64_t sp = on.stack_pointer();
    const bool is_stack = address + largest_stack > sp && address < sp + largest_stack;
    for (uint64_t at = physical >> 3; at <= (physical + size - 1) >> 3; ++at) {
        written_.push_back({at, address, static_cast<uint32_t>(written_.size()), is_stack});
    }
}

void memory_writes::list(uint64_t end_sp, bool is_user, granule_list& to) {
    to.count = 0;
    bool is_stack = false; // one of the granule's stores was there
    std::sort(written_.begin(), written_.end(), [](const store& a, const store& b) {
        return a.granule != b.granule ? a.granule < b.granule : a.order < b.order;
    });
    for (size_t i = 0; i < written_.size(); ++i) {
        const store& one = written_[i]; // the last one of its granule
        const bool was_stack = i != 0 && written_[i - 1].granule == one.granule && is_stack;
        is_stack = one.is_stack || was_stack;
        if (i + 1 < written_.size() && written_[i + 1].granule == one.granule) {
            continue;
        }
        const bool is_dead =
            is_stack &&
            (is_user ? one.address >= 0xc0000000 || one.address < end_sp : one.address < end_sp);
        if (is_dead || to.count == granule_list::most) {
            continue;
        }
        granule& found = to.granules[to.count++];
        found.address = one.granule << 3;
        cpu_physical_memory_rw(found.address, &found.value, sizeof found.value, false);
    }
}

void memory_differences::set_reference(const granule_list& list) {
    reference_.clear();
    for (uint32_t i = 0; i < list.count; ++i) {
        reference_[list.granules[i].address] = list.granules[i].value;
    }
}

void memory_differences::add(uint64_t step, const granule_list& list) {
    for (uint32_t i = 0; i < list.count; ++i) {
        const granule& found = list.granules[i];
        uint64_t wanted = 0;
        if (const auto known = reference_.find(found.address); known != reference_.end()) {
            wanted = known->second;
        } else {
            cpu_physical_memory_rw(found.address, &wanted, sizeof wanted, false);
        }
        if (wanted != found.value) {
            steps_of_[found.address].push_back(step);
        }
    }
}

void memory_differences::send(uint64_t swept) const {
    constexpr uint64_t rare = 20;
    constexpr size_t most_steps = 200;
    for (const auto& [address, steps] : steps_of_) {
        std::string list;
        for (size_t i = 0; i < steps.size() && i < most_steps; ++i) {
            list += (i == 0 ? "" : ",") + std::to_string(steps[i]);
        }
        line("memory")
            .address("physical", address)
            .truth("of_path", reference_.count(address) != 0)
            .number("count", steps.size())
            .truth("rare", steps.size() * rare < swept)
            .raw("steps", '[' + list + ']')
            .send();
    }
}

} // namespace nmisafe::torture
