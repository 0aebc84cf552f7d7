// SPDX-License-Identifier: MIT
// This kernel, as the entry code of user mode sees it: nmisafe/user/layout.h.
#ifndef KERNEL_PLATFORM_NMISAFE_USER_LAYOUT_H
#define KERNEL_PLATFORM_NMISAFE_USER_LAYOUT_H

#include "kernel/boot/layout.h"
#include "kernel/cpu/per_cpu_layout.h"

#define NMISAFE_USER_CPU CPU_USER
#define NMISAFE_USER_CODE_SELECTOR KERNEL_USER_CODE_SELECTOR
#define NMISAFE_USER_DATA_SELECTOR KERNEL_USER_DATA_SELECTOR
#ifdef __i386__
#define NMISAFE_USER_CPU_SELECTOR KERNEL_PER_CPU_SELECTOR
#endif
#define NMISAFE_USER_VIRTUAL_8086 // this kernel's CPUs are QEMU's

#endif
