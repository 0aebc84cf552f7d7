// SPDX-License-Identifier: MIT
// Offsets in struct cpu that assembly and one-instruction accesses use; per_cpu.hpp asserts them.
#ifndef KERNEL_CPU_PER_CPU_LAYOUT_H
#define KERNEL_CPU_PER_CPU_LAYOUT_H

#ifdef __x86_64__
#define CPU_SELF 0x00
#define CPU_ID 0x08
#define CPU_PREEMPT_COUNT 0x10
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
#define CPU_USER 0x1200 // in a page that user mode's page tables have too
#else
#define CPU_USER 0x28
#endif
#if defined NMISAFE_SHADOW_STACK && !defined NMISAFE_PAGE_TABLE_ISOLATION
#define CPU_NMI_IN_PROGRESS 0x48 // cpu_words have a word more
#define CPU_NMI_LIKE_IN_PROGRESS 0x4c
#else
#define CPU_NMI_IN_PROGRESS 0x40
#define CPU_NMI_LIKE_IN_PROGRESS 0x44
#endif
#else
#define CPU_SELF 0x00
#define CPU_ID 0x04
#define CPU_PREEMPT_COUNT 0x0c
#ifdef NMISAFE_PAGE_TABLE_ISOLATION
#define CPU_USER 0x1000
#else
#define CPU_USER 0x1c
#endif
#define CPU_NMI_IN_PROGRESS 0x24
#define CPU_NMI_LIKE_IN_PROGRESS 0x28
#endif

#endif
