// SPDX-License-Identifier: MIT
#include "nmisafe/immediate/immediate.hpp"
#include "nmisafe/immediate/join.hpp"

void trace(uint32_t value);

extern nmisafe::immediate::immediate<bool> tracing;
extern nmisafe::immediate::immediate<uint32_t, 100> limit;
constinit nmisafe::immediate::immediate<bool> tracing;
constinit nmisafe::immediate::immediate<uint32_t, 100> limit;

void anywhere() {
    if (nmisafe::immediate::branch<tracing>()) [[unlikely]]
        trace(nmisafe::immediate::read<limit>());
}

void once() {
    static nmisafe::text_patch::patch workspace[1000];
    nmisafe::immediate::use_workspace(workspace, 1000);
}

void thread() {
    const auto sites = nmisafe::immediate::set(tracing, true);
}

using namespace nmisafe;

void later(const immediate::site* table, const immediate::site* table_end, base::address_range text,
           base::address_range data, base::address_range program) {
    immediate::site_range sites{.begin = table,
                                .end = table_end,
                                .code = text,
                                .data = data,
                                .shared = program,
                                .next = nullptr};
    const auto joined = immediate::join(sites);
    const auto left = immediate::leave(sites);
}
