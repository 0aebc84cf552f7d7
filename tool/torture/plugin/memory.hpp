// SPDX-License-Identifier: MIT
// What a pass has written, in granules of eight bytes of physical memory, and what of it is not as without the event.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "tool/torture/plugin/machine.hpp"

namespace nmisafe::torture {

struct granule {
    uint64_t address, value; // physical
};

// In memory that all processes share: one for each child at a time, and the undisturbed pass's.
struct granule_list {
    static constexpr unsigned most = 16384;
    uint32_t count;
    granule granules[most];
};

class memory_writes {
  public:
    void clear() { written_.clear(); }
    // In the callback of a store.
    void note(const machine& on, plugin_memory_info info, uint64_t address);
    // What of it is left at the end. Dead is what lies below the stack pointer there; when the path has ended in
    // user mode, all of the kernel's stack.
    void list(uint64_t end_sp, bool is_user, granule_list& to);

  private:
    struct store {
        uint64_t granule; // physical
        uint64_t address; // virtual
        uint32_t order;
        bool is_stack;
    };
    std::vector<store> written_;
};

// The children's lists against the undisturbed one's. A granule that differs at most boundaries is the handler's own;
// one that does at few is a finding.
class memory_differences {
  public:
    void set_reference(const granule_list& list);
    void
    add(uint64_t step,
        const granule_list& list); // in the parent, while it is at that boundary or little later
    // "memory" lines: the granules that differ at less than one boundary in twenty of `swept`.
    void send(uint64_t swept) const;

  private:
    std::map<uint64_t, uint64_t> reference_;
    std::map<uint64_t, std::vector<uint64_t>> steps_of_; // granule to steps
};

} // namespace nmisafe::torture
