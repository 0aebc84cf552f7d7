/* SPDX-License-Identifier: MIT */
/* The library for kernels in C, and for whatever binds to C: all of it. C11 or C++20, freestanding, GCC or clang.
 * README.md says what to link and what the kernel has to define. */
#ifndef NMISAFE_C_NMISAFE_H
#define NMISAFE_C_NMISAFE_H

/* nmisafe::c */
#include "nmisafe/c/context.h"
#include "nmisafe/c/contract.h"
#include "nmisafe/c/trap.h"
#include "nmisafe/c/types.h"
/* nmisafe::c_probes */
#include "nmisafe/c/immediate.h"
#include "nmisafe/c/kprobe.h"
#include "nmisafe/c/marker.h"
#include "nmisafe/c/text_patch.h"
/* nmisafe::c_vmalloc */
#include "nmisafe/c/vmalloc.h"

#endif
