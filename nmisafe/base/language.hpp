// SPDX-License-Identifier: MIT
/// Comes before all else in the library's headers, so that a compiler that cannot read them says why in one error,
/// not in a thousand. Only files that include them need C++20; the rest of a kernel may be older.
#pragma once

#if !defined(__cplusplus) || __cplusplus < 202002L
// An #error alone lets the compiler go on; a file that is not there does not.
#include "nmisafe needs C++20: compile the files that include its headers with -std=c++20 or later"
#endif

#if !__has_include(<type_traits>)
#include "nmisafe needs the compiler's freestanding C++ headers (<type_traits>, <bit>): see docs/compilers.md"
#endif
