// SPDX-License-Identifier: MIT
// A module whose probe touches whatever its marker names, some calls down.
#include "kernel/threads/insist.hpp"
#include "nmisafe/marker/marker.hpp"
#include "nmisafe/module_loader/declare.hpp"

NMISAFE_MODULE_NAME("strays");

namespace {

using namespace nmisafe;

/// Not the last that its caller does: so the caller is on the stack.
[[gnu::noinline]] void touch(volatile uint8_t* where) {
    *where = 1;
    asm volatile("");
}

void on_mark(const marker::marker&, void*, const marker::arguments& values) {
    touch(reinterpret_cast<volatile uint8_t*>(reinterpret_cast<uintptr_t>(values[0].as_pointer())));
    asm volatile("");
}
constinit marker::probe probe(on_mark, nullptr);

} // namespace

bool nmisafe_module_init() {
    return kernel::insist(
               [] { return marker::register_probe("kernel", "strays", "address %p", probe); })
        .has_value();
}
