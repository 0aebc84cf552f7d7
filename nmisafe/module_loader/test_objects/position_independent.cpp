// SPDX-License-Identifier: MIT
// With -fPIC it reads addresses from a global offset table, which a kernel does not have.
#include "nmisafe/module_loader/test_objects/features.hpp"

int count() {
    return ++program::number;
}
