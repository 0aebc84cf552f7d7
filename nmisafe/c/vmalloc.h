/* SPDX-License-Identifier: MIT */
/* Kernel mappings that an address space learns of when it first touches them, also in an NMI (nmisafe/vmalloc). */
#ifndef NMISAFE_C_VMALLOC_H
#define NMISAFE_C_VMALLOC_H

#include "nmisafe/c/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A range of the kernel's half of all address spaces. `shared_level` is the level of page tables at which each has a
 * table of its own and below which all have the kernel's: 4 for the PML4 of x86-64, 2 on x86-32. Both ends are at
 * entries of that level; nmisafe/vmalloc/area.hpp has all the rules. */
typedef struct NMISAFE_C_SHARED nmisafe_area {
    uintptr_t begin, end;
    unsigned shared_level;
} nmisafe_area;

typedef enum nmisafe_permission {
    NMISAFE_READ_ONLY = 0,
    NMISAFE_READ_WRITE = 1,
    NMISAFE_EXECUTE = 2
} nmisafe_permission;

typedef enum nmisafe_fault {
    NMISAFE_FAULT_NOT_HERE = 0, /* The address is not in the area. */
    NMISAFE_FAULT_RESOLVED = 1, /* To be tried again: now it works. */
    NMISAFE_FAULT_BAD = 2       /* Nothing is mapped there, or not for this kind of access. */
} nmisafe_fault;

/* For the kernel's page-fault handler: copies the one entry that this address space lacks, and says whether the access
 * is allowed. It takes no lock, allocates nothing and waits for nobody. Any context. */
nmisafe_fault nmisafe_vmalloc_handle_fault(const nmisafe_area* where, const nmisafe_frame* frame,
                                           uintptr_t address);

/* All that follow: thread, interrupts on; they take the mapping lock. Each may return IN_NMI, CANNOT_SYNCHRONISE and
 * BAD_AREA besides what it names. */

/* Makes the kernel's own tables for an area, before any address space but the kernel's is made. NO_MEMORY, LARGE_PAGE,
 * NO_TOP_ENTRY. */
nmisafe_error nmisafe_vmalloc_set_up(const nmisafe_area* where);

/* Prepares another address space, and gives what it took back. BAD_PAGE, NOT_SET_UP, NO_MEMORY, KERNEL_SPACE. */
nmisafe_error nmisafe_vmalloc_add_to(uint64_t top_table, const nmisafe_area* where);
nmisafe_error nmisafe_vmalloc_remove_from(uint64_t top_table, const nmisafe_area* where);

/* For who wants no faults: brings all address spaces up to date. NOT_SET_UP, NO_MEMORY. */
nmisafe_error nmisafe_vmalloc_sync_mappings(const nmisafe_area* where);

/* New zeroed memory, with an unmapped page before and behind it; *result is its address. BAD_SIZE, NO_SPACE, NO_MEMORY,
 * NOT_SET_UP. */
nmisafe_error nmisafe_vmalloc(const nmisafe_area* where, size_t size, nmisafe_permission may,
                              void** result);

/* Gives it back: when it returns, no CPU resolves an address in it. NOT_MAPPED, NOT_SET_UP. */
nmisafe_error nmisafe_vfree(const nmisafe_area* where, const void* address);

/* The same for pages of the caller's, by their physical addresses. Beside the above: BAD_PAGE. */
nmisafe_error nmisafe_vmap(const nmisafe_area* where, const uint64_t* pages, size_t count,
                           nmisafe_permission may, void** result);
nmisafe_error nmisafe_vunmap(const nmisafe_area* where, const void* address);

/* Changes what may be done with a whole mapping. NOT_MAPPED, NOT_SET_UP. */
nmisafe_error nmisafe_set_permission(const nmisafe_area* where, const void* address,
                                     nmisafe_permission may);

/* The physical address behind a mapped one; 0 if there is none. Any context. */
uint64_t nmisafe_physical_address(const nmisafe_area* where, uintptr_t address);

#ifdef __cplusplus
}
#endif

#endif
