// SPDX-License-Identifier: MIT
/// Sorts sections: n log n steps whatever they are.
#pragma once

#include "nmisafe/module_loader/internal/placement.hpp"

namespace nmisafe::module_loader::internal {

/// Merge sort from below: list i of those that wait is empty or has 2^i sections. Sections of which
/// neither comes first stay in the order in which they were added.
///
/// `Link` is the word by which they are linked; `comes_first(a, b)` says that section a comes
/// before section b.
template <uint32_t placement::*Link, typename ComesFirst>
class section_sort {
  public:
    section_sort(placement* places, ComesFirst comes_first)
        : places_(places), comes_first_(comes_first) {}

    void add(uint32_t section) {
        places_[section].*Link = 0;
        uint32_t list = section;
        size_t level = 0;
        for (; waiting_[level] != 0; ++level) {
            list = merge(waiting_[level], list);
            waiting_[level] = 0;
        }
        waiting_[level] = list;
    }

    /// The first of all; 0: none. To be asked once.
    uint32_t sorted() {
        uint32_t list = 0;
        for (const uint32_t earlier : waiting_)
            list = merge(earlier, list);
        return list;
    }

  private:
    /// Those of `a` were added before those of `b`.
    uint32_t merge(uint32_t a, uint32_t b) {
        uint32_t first = 0;
        uint32_t last = 0;
        while (a != 0 || b != 0) {
            uint32_t& from = b == 0 || (a != 0 && !comes_first_(b, a)) ? a : b;
            (last == 0 ? first : places_[last].*Link) = from;
            last = from;
            from = places_[from].*Link;
        }
        return first;
    }

    placement* const places_;
    const ComesFirst comes_first_;
    uint32_t waiting_[17] = {}; // section indices have 16 bits
};

} // namespace nmisafe::module_loader::internal
