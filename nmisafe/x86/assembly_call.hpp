// SPDX-License-Identifier: MIT
// The convention of calls between C++ and assembly: assembly is written for the one of the psABI,
// whatever the compiler is told to take otherwise (-mregparm=3, -mrtd, -mabi=ms).
#pragma once

// A list of attributes, to stand between [[ and ]]: of each function that assembly calls, and of
// each function in assembly that C++ calls.
#ifdef __x86_64__
#define NMISAFE_ASSEMBLY_CALL gnu::sysv_abi
#else
#define NMISAFE_ASSEMBLY_CALL gnu::cdecl, gnu::regparm(0)
#endif
