// SPDX-License-Identifier: MIT
/// Pages with physical addresses, for page tables that no CPU walks. Hosted code, for tests only.
#pragma once

#include "nmisafe/x86/paging.hpp"

#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>

namespace nmisafe::platform::fake {

struct physical_memory {
    static constexpr uint64_t first_page = 0x100000;

    struct alignas(8) page {
        uint8_t bytes[x86::page_size] = {};
    };
    std::map<uint64_t, std::unique_ptr<page>> pages;
    uint64_t next = first_page;
    size_t left = ~size_t{0}; ///< Allocations that still succeed.

    /// Addresses are never used twice, so a page that was given back is noticed.
    uint64_t allocate() {
        if (left == 0)
            return 0;
        --left;
        pages[next] = std::make_unique<page>();
        next += x86::page_size;
        return next - x86::page_size;
    }
    void free(uint64_t address) {
        if (pages.erase(address) != 1)
            throw std::logic_error("a page is given back that is none");
    }
    void* at(uint64_t address) { return pages.at(address)->bytes; }
};

} // namespace nmisafe::platform::fake
