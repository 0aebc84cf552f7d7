// SPDX-License-Identifier: MIT
#include "kernel/devices/acpi.hpp"

#include "kernel/common/text.hpp"
#include "kernel/memory/pages.hpp"
#include "kernel/panic/panic.hpp"

namespace kernel {

namespace {

struct [[gnu::packed]] root_pointer {
    char signature[8];
    uint8_t checksum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length; // from here on since revision 2
    uint64_t xsdt;
    uint8_t extended_checksum;
    uint8_t reserved[3];
};
constexpr uintptr_t first_root_pointer_size = 20;

struct [[gnu::packed]] table_header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem[22];
    uint32_t creator_revision;
};
static_assert(sizeof(table_header) == 36);

struct [[gnu::packed]] madt_entry {
    uint8_t type, length;
    union {
        struct [[gnu::packed]] {
            uint8_t processor, apic_id;
            uint32_t flags;
        } local_apic; // type 0
        struct [[gnu::packed]] {
            uint8_t id, reserved;
            uint32_t address, first_interrupt;
        } io_apic; // type 1
    };
};
constexpr uint32_t cpu_enabled = 1;
constexpr uintptr_t madt_entries = sizeof(table_header) + 8;

struct [[gnu::packed]] hpet_table {
    table_header header;
    uint32_t hardware;
    uint8_t address_space, width, offset, access;
    uint64_t address;
};
constexpr uint8_t memory_space = 0;

const unsigned char* bytes_at(uintptr_t physical) {
    return static_cast<const unsigned char*>(physical_to_virtual(physical));
}

/// All bytes of a sound table add up to 0.
bool is_sound(const unsigned char* bytes, uintptr_t size) {
    uint8_t sum = 0;
    for (uintptr_t i = 0; i < size; ++i)
        sum = static_cast<uint8_t>(sum + bytes[i]);
    return sum == 0;
}

bool has_signature(const table_header& table, text signature) {
    return text(table.signature, sizeof(table.signature)) == signature;
}

const root_pointer* find_root_pointer(uintptr_t from, uintptr_t to) {
    uint64_t signature; // as one word: byte by byte this takes 560,000 instructions
    __builtin_memcpy(&signature, "RSD PTR ", sizeof(signature));
    for (uintptr_t at = from; at + first_root_pointer_size <= to; at += 16) {
        const unsigned char* const bytes = bytes_at(at);
        auto* const candidate = reinterpret_cast<const root_pointer*>(bytes);
        uint64_t found;
        __builtin_memcpy(&found, candidate->signature, sizeof(found));
        if (found == signature && is_sound(bytes, first_root_pointer_size))
            return candidate;
    }
    return nullptr;
}

/// First KiB of the extended BIOS data area, then the BIOS's ROM. [ACPI 5.2.5.1]
const root_pointer& root() {
    constexpr uintptr_t bios_data_area_segment = 0x40e;
    uint16_t segment;
    __builtin_memcpy(&segment, bytes_at(bios_data_area_segment), sizeof(segment));
    const uintptr_t extended = uintptr_t{segment} << 4;
    const root_pointer* found = nullptr;
    if (extended >= 0x400 && extended < 0xa0000)
        found = find_root_pointer(extended, extended + 1024);
    if (found == nullptr)
        found = find_root_pointer(0xe0000, 0x100000);
    if (found == nullptr)
        panic("no ACPI root pointer", nullptr, 0);
    return *found;
}

/// Null if its header cannot be read. An entry of 0 stands for a table that firmware left out.
const table_header* header_at(uint64_t physical) {
    if (physical == 0 || physical > KERNEL_DIRECT_SIZE - sizeof(table_header))
        return nullptr;
    return reinterpret_cast<const table_header*>(bytes_at(static_cast<uintptr_t>(physical)));
}

/// What is wrong with a table that is needed, null if nothing is.
const char* fault_of(const table_header* table, uint64_t physical) {
    if (table == nullptr)
        return "ACPI table out of reach";
    if (table->length < sizeof(table_header) || table->length > KERNEL_DIRECT_SIZE - physical)
        return "ACPI table has a bad length";
    if (!is_sound(reinterpret_cast<const unsigned char*>(table), table->length))
        return "ACPI table has a bad checksum";
    return nullptr;
}

/// The list of all tables, and how wide its entries are.
struct table_list {
    const table_header* list;
    uintptr_t entry_size;
};

/// The wide list, if there is one that can be used; the other has what is below 4 GiB, as all that
/// this kernel reads is.
table_list find_list() {
    const root_pointer& pointer = root();
    const bool extended =
        pointer.revision >= 2 && pointer.length >= sizeof(root_pointer) &&
        is_sound(reinterpret_cast<const unsigned char*>(&pointer), sizeof(root_pointer));
    if (extended) {
        const table_header* const wide = header_at(pointer.xsdt);
        if (fault_of(wide, pointer.xsdt) == nullptr)
            return {wide, 8};
    }
    const table_header* const list = header_at(pointer.rsdt);
    if (const char* const fault = fault_of(list, pointer.rsdt); fault != nullptr)
        panic(fault, nullptr, pointer.rsdt);
    return {list, 4};
}

/// Null if there is no such table. Nothing but the signature of other tables is looked at: what is
/// wrong with them is no business of this kernel. Panics if only faulty ones are there.
const table_header* find_table(text signature) {
    const auto [list, entry_size] = find_list();
    auto* const entries = reinterpret_cast<const unsigned char*>(list + 1);
    const uintptr_t count = (list->length - sizeof(*list)) / entry_size;
    const char* fault = nullptr;
    uint64_t faulty = 0;
    for (uintptr_t i = 0; i < count; ++i) {
        uint64_t address = 0;
        __builtin_memcpy(&address, entries + i * entry_size, entry_size);
        const table_header* const table = header_at(address);
        if (table == nullptr || !has_signature(*table, signature))
            continue;
        const char* const found = fault_of(table, address);
        if (found == nullptr)
            return table;
        fault = found;
        faulty = address;
    }
    if (fault != nullptr)
        panic(fault, nullptr, static_cast<uintptr_t>(faulty));
    return nullptr;
}

void read_madt(machine& found) {
    const table_header* const madt = find_table("APIC");
    if (madt == nullptr)
        panic("no ACPI table of the APICs", nullptr, 0);
    auto* const bytes = reinterpret_cast<const unsigned char*>(madt);
    for (uintptr_t at = madt_entries; at + 2 <= madt->length;) {
        auto& entry = *reinterpret_cast<const madt_entry*>(bytes + at);
        const uintptr_t needed = entry.type == 0 ? 8 : entry.type == 1 ? 12 : 2;
        if (entry.length < needed || entry.length > madt->length - at)
            panic("ACPI table of the APICs has a bad entry", nullptr, at);
        if (entry.type == 0 && (entry.local_apic.flags & cpu_enabled) != 0) {
            if (found.cpus < most_cpus)
                found.apic_ids[found.cpus++] = entry.local_apic.apic_id;
            else
                ++found.cpus_left_out;
        }
        if (entry.type == 1 && found.io_apic == 0)
            found.io_apic = entry.io_apic.address;
        at += entry.length;
    }
    if (found.io_apic == 0)
        panic("no I/O APIC", nullptr, 0);
}

} // namespace

machine read_machine() {
    machine found{};
    read_madt(found);
    if (const table_header* const table = find_table("HPET"); table != nullptr) {
        if (table->length < sizeof(hpet_table))
            panic("ACPI table has a bad length", nullptr, table->length);
        const auto& hpet = *reinterpret_cast<const hpet_table*>(table);
        if (hpet.address_space != memory_space || hpet.address >> 32 != 0)
            panic("the HPET is out of reach", nullptr, static_cast<uintptr_t>(hpet.address));
        found.hpet = static_cast<uintptr_t>(hpet.address);
    }
    return found;
}

} // namespace kernel
