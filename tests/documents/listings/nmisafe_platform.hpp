// SPDX-License-Identifier: MIT
// The contract that the listings are compiled with; platform.cpp has the one of its page.
#pragma once

#ifndef LISTING_IS_THE_CONTRACT
#include "tests/flags/nmisafe_platform.hpp"
#endif
