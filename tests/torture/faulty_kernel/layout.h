// SPDX-License-Identifier: MIT
// What assembly and C++ of the faulty kernel share.
#pragma once

#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
#define USER_DATA   0x1b
#define USER_CODE   0x23
#define TASK        0x28

// Offsets in cpu_data, which the kernel's GS base points to.
#define CPU_SELF      0
#define CPU_KERNEL_SP 8
#define CPU_USER_SP   16
#define CPU_IN_NMI    24
#define CPU_NMIS      32

// Offsets in the TSS. [intel/vol3 8.7]
#define TASK_RSP0 4
#define TASK_IST1 36

// Pages of 2 MiB that come and go: of the NMI handler, and of the user's loop. Nothing is at this last address.
#define NMI_PAGE   0x20000000
#define USER_PAGE  0x20200000
#define PAGE_MEMORY 0x1000000 // where they are in memory
#define NO_ADDRESS 0x80001000


// One NMI handler's stack where an NMI may be taken within another's handler.
#define LEVEL_SIZE 2048
