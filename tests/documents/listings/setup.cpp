// SPDX-License-Identifier: MIT
#include "nmisafe/setup/setup.hpp"

using namespace nmisafe;

void panic(const char* text, unsigned vector, uintptr_t value);
void check_this_cpu();

void check_this_cpu() {
    const setup::finding found = setup::check_setup();
    if (found.what != setup::fault::none)
        panic(setup::describe(found.what), found.vector, found.value);
}
