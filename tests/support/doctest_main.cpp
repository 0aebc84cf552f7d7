// SPDX-License-Identifier: MIT
// The main function of every host unit test.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
