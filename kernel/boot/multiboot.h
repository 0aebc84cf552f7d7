// SPDX-License-Identifier: MIT
// What is used of the Multiboot specification, version 0.6.96, sections 3.1 and 3.3.
#ifndef KERNEL_BOOT_MULTIBOOT_H
#define KERNEL_BOOT_MULTIBOOT_H

#define MULTIBOOT_HEADER_MAGIC 0x1badb002
#define MULTIBOOT_LOADER_MAGIC 0x2badb002 // in EAX when the loader starts the kernel

#define MULTIBOOT_HEADER_MEMORY_INFO 0x00000002
#define MULTIBOOT_HEADER_ADDRESSES 0x00010000 // load the file flat, not as ELF
#define MULTIBOOT_HEADER_FLAGS (MULTIBOOT_HEADER_MEMORY_INFO | MULTIBOOT_HEADER_ADDRESSES)

#ifndef __ASSEMBLER__

#include "nmisafe/base/std.hpp"

namespace kernel::multiboot {

inline constexpr uint32_t has_memory = 1 << 0;
inline constexpr uint32_t has_command_line = 1 << 2;
inline constexpr uint32_t has_memory_map = 1 << 6;

/// Addresses are physical.
struct information {
    uint32_t flags;
    uint32_t memory_lower, memory_upper; // KiB below 640 KiB, KiB from 1 MiB on
    uint32_t boot_device;
    uint32_t command_line;
    uint32_t modules_count, modules;
    uint32_t symbols[4];
    uint32_t memory_map_length, memory_map;
};

/// `size` does not count itself.
struct [[gnu::packed]] memory_map_entry {
    uint32_t size;
    uint64_t base, length;
    uint32_t type;
};
inline constexpr uint32_t available_memory = 1;

} // namespace kernel::multiboot

#endif // __ASSEMBLER__
#endif
