// SPDX-License-Identifier: MIT
// The convention of calls between C++ and assembly: assembly is written for the one of the psABI,
// whatever the compiler is told to take otherwise (-mregparm=3, -mrtd, -mabi=ms).
#pragma once

// A list of attributes, to stand between [[ and ]]: of each function that assembly calls, and of
// each function in assembly that C++ calls. One without arguments is no exception: with -mabi=ms a
// function may write above its return address.
#ifdef __x86_64__
#define NMISAFE_ASSEMBLY_CALL gnu::sysv_abi
#else
#define NMISAFE_ASSEMBLY_CALL gnu::cdecl, gnu::regparm(0)
#endif

namespace nmisafe::x86 {

/// Such a function, for pointers to it. A typedef, because clang 19 takes the attribute of an alias
/// for one of what the function returns.
typedef void assembly_function [[NMISAFE_ASSEMBLY_CALL]] ();

} // namespace nmisafe::x86
