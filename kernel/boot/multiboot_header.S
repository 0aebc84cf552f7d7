// SPDX-License-Identifier: MIT
// What the boot loader looks for in the first 8 KiB of the image. With the address fields one flat
// file of either width boots under QEMU's -kernel and under GRUB; QEMU refuses 64-bit ELF files.
#include "kernel/boot/layout.h"
#include "kernel/boot/multiboot.h"

    .section .multiboot, "a", @progbits
    .balign 4
multiboot_header:
    .long   MULTIBOOT_HEADER_MAGIC
    .long   MULTIBOOT_HEADER_FLAGS
    .long   -(MULTIBOOT_HEADER_MAGIC + MULTIBOOT_HEADER_FLAGS)
    .long   multiboot_header - KERNEL_IMAGE_BASE
    .long   kernel_image_begin - KERNEL_IMAGE_BASE
    .long   kernel_load_end - KERNEL_IMAGE_BASE
    .long   kernel_image_end - KERNEL_IMAGE_BASE    // the loader zeroes from load end to here
    .long   kernel_entry - KERNEL_IMAGE_BASE

    .section .note.GNU-stack, "", @progbits
