// SPDX-License-Identifier: MIT
// A module without code: constants and data that nobody uses.
#include "nmisafe/module_loader/declare.hpp"

NMISAFE_MODULE_NAME("data_only");

extern "C" {
[[gnu::used]] int data_only_number = 1;
[[gnu::used]] int data_only_zeros[2048];
}
