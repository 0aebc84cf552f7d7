// SPDX-License-Identifier: MIT
// Where things are in the kernel's address spaces, for C++, assembly and the linker scripts alike.
//
//   x86-64                                                x86-32
//   ffffffffc0000000  modules: code, constants, data      fec00000  MMIO, at its physical address
//   ffffffff80000000  image (physical address + this)     f8000000  modules: code, constants, data
//   ffff900000000000  vmalloc                             f2000000  vmalloc
//   ffff808000000000  pages: stacks, test pages           f0000000  pages: stacks, test pages
//   ffff800000000000  low 4 GiB (RAM, MMIO)               c0000000  RAM up to 768 MiB, image in it
//   below             the address space's own             below     the address space's own
#ifndef KERNEL_BOOT_LAYOUT_H
#define KERNEL_BOOT_LAYOUT_H

#define KERNEL_LOAD_ADDRESS 0x100000
#define KERNEL_TRAMPOLINE 0x8000 // one page below 1 MiB, where another CPU starts

#ifdef __x86_64__
#define KERNEL_IMAGE_BASE 0xffffffff80000000
#define KERNEL_PAGES_BASE 0xffff808000000000
#define KERNEL_DIRECT_BASE 0xffff800000000000
#define KERNEL_DIRECT_SIZE 0x100000000
#define KERNEL_MMIO_BASE 0xffff800000000000 // added to a physical address
#else
#define KERNEL_IMAGE_BASE 0xc0000000
#define KERNEL_PAGES_BASE 0xf0000000
#define KERNEL_DIRECT_BASE 0xc0000000
#define KERNEL_DIRECT_SIZE 0x30000000
#define KERNEL_MMIO_BASE 0
#endif

// What an address space learns of by page faults: kernel/memory/lazy_areas.hpp.
#ifdef __x86_64__
#define KERNEL_VMALLOC_BASE 0xffff900000000000
#define KERNEL_VMALLOC_SIZE 0x10000000000 // two entries of the PML4
#define KERNEL_MODULES_BASE 0xffffffffc0000000
#define KERNEL_MODULES_PART 0x4000000 // for each of code, constants and data
#else
#define KERNEL_VMALLOC_BASE 0xf2000000
#define KERNEL_VMALLOC_SIZE 0x6000000
#define KERNEL_MODULES_BASE 0xf8000000
#define KERNEL_MODULES_PART 0x1000000
#endif

// The page area: first the stacks, each in a slot that begins with a guard page, then the test
// pages.
#define KERNEL_STACK_SLOT 0x8000
#define KERNEL_STACK_SLOTS 256
#define KERNEL_TEST_PAGES_OFFSET 0x800000 // behind KERNEL_STACK_SLOTS slots
#define KERNEL_PAGES_SIZE 0x1000000

// Selectors, the same on every CPU (kernel/cpu/descriptor_tables_x86_*.cpp).
#define KERNEL_CODE_SELECTOR 0x08
#define KERNEL_DATA_SELECTOR 0x10
// The user's, with RPL 3, in the order in which SYSRET and SYSEXIT want them.
#define KERNEL_USER_DATA_SELECTOR 0x23
#ifdef __x86_64__
#define KERNEL_USER_CODE_SELECTOR 0x2b
#else
#define KERNEL_USER_CODE_SELECTOR 0x1b
#define KERNEL_PER_CPU_SELECTOR 0x28
#endif
#define KERNEL_TASK_SELECTOR 0x30         // two entries on x86-64
#define KERNEL_DOUBLE_FAULT_SELECTOR 0x40 // x86-32 only: the task that a double fault switches to
#define KERNEL_ALIAS_CODE_SELECTOR 0x48
#define KERNEL_SPARE_DATA_SELECTOR 0x50
#define KERNEL_USER_STACK_16_SELECTOR 0x5b // a stack segment that no return to user mode may take
#define KERNEL_BOOT_CODE_32_SELECTOR 0x18 // in the boot GDT only

#endif
