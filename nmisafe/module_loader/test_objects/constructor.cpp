// SPDX-License-Identifier: MIT
// Needs a static constructor, which nobody would call.
#include "nmisafe/module_loader/test_objects/features.hpp"

int three = program::add(1, 2);
