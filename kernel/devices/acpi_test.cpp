// SPDX-License-Identifier: MIT
// Firmware's tables, sound and not, in a piece of memory that stands for the machine's: what is
// needed must be right, and what is not may be anything.
#include "kernel/devices/acpi.hpp"
#include "kernel/memory/pages.hpp"
#include "kernel/panic/panic.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <numeric>
#include <string>
#include <vector>

namespace {

constexpr uintptr_t bios_data_area = 0x80000; // the extended one
constexpr uintptr_t bios_rom = 0xe0000;
constexpr uintptr_t first_table = 0x110000;
constexpr uintptr_t io_apic_address = 0xfec00000;

struct panicked {
    std::string what;
    uintptr_t value;
};

using bytes = std::vector<unsigned char>;

bytes memory;

void put(bytes& to, uint64_t value, size_t size) {
    const size_t at = to.size();
    to.resize(at + size);
    for (size_t i = 0; i < size; ++i)
        to[at + i] = static_cast<unsigned char>(value >> (8 * i));
}

/// Makes all bytes of [at, at + size) add up to 0 by the one at `checksum`.
void balance(size_t at, size_t size, size_t checksum) {
    memory[checksum] = 0;
    const auto begin = memory.begin() + static_cast<std::ptrdiff_t>(at);
    const unsigned sum = std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(size), 0U);
    memory[checksum] = static_cast<unsigned char>(0 - sum);
}

void write(uintptr_t at, const bytes& what) {
    std::copy(what.begin(), what.end(), memory.begin() + static_cast<std::ptrdiff_t>(at));
}

/// A table with this content, sound. Returns where it is.
uintptr_t table(uintptr_t at, const char* signature, const bytes& content) {
    bytes header;
    header.reserve(36);
    header.assign(signature, signature + 4);
    put(header, 36 + content.size(), 4);
    header.resize(36);
    write(at, header);
    write(at + header.size(), content);
    balance(at, header.size() + content.size(), at + 9);
    return at;
}

bytes local_apic(unsigned char id, uint32_t flags = 1) {
    bytes entry{0, 8, id, id};
    put(entry, flags, 4);
    return entry;
}

bytes io_apic() {
    bytes entry{1, 12, 0, 0};
    put(entry, io_apic_address, 4);
    put(entry, 0, 4);
    return entry;
}

bytes operator+(bytes a, const bytes& b) {
    const size_t at = a.size();
    a.resize(at + b.size());
    std::copy(b.begin(), b.end(), a.begin() + static_cast<std::ptrdiff_t>(at));
    return a;
}

/// What precedes the entries: the local APIC's address and flags.
bytes madt_of(const bytes& entries) {
    return bytes(8) + entries;
}

bytes hpet_of(uint64_t address, unsigned char space = 0) {
    bytes content(8);
    content[4] = space;
    put(content, address, 8);
    content.resize(20);
    return content;
}

uintptr_t list(uintptr_t at, size_t entry_size, const std::vector<uint64_t>& entries) {
    bytes content;
    for (const uint64_t entry : entries)
        put(content, entry, entry_size);
    return table(at, entry_size == 8 ? "XSDT" : "RSDT", content);
}

void root(uintptr_t at, uintptr_t rsdt, uint64_t xsdt = 0, unsigned char revision = 0) {
    bytes all{'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '};
    all.resize(15);
    all.push_back(revision);
    put(all, rsdt, 4);
    put(all, 36, 4);
    put(all, xsdt, 8);
    all.resize(36);
    write(at, all);
    balance(at, 20, at + 8);
    balance(at, 36, at + 32);
}

constexpr uintptr_t rsdt_at = first_table;
constexpr uintptr_t xsdt_at = first_table + 0x1000;
constexpr uintptr_t madt_at = first_table + 0x2000;
constexpr uintptr_t hpet_at = first_table + 0x3000;
constexpr uintptr_t other_at = first_table + 0x4000;

/// A machine as it should be: two CPUs, an HPET and a table that nobody here reads.
void set_up_machine() {
    memory.assign(0x200000, 0);
    memory[0x40e] = bios_data_area >> 4 & 0xff;
    memory[0x40f] = bios_data_area >> 12;
    table(madt_at, "APIC", madt_of(local_apic(0) + local_apic(5) + io_apic()));
    table(hpet_at, "HPET", hpet_of(0xfed00000));
    table(other_at, "FACP", bytes(80));
    list(rsdt_at, 4, {other_at, madt_at, hpet_at});
    root(bios_rom, rsdt_at);
}

void expect_machine() {
    const kernel::machine found = kernel::read_machine();
    CHECK(found.cpus == 2);
    CHECK(found.apic_ids[0] == 0);
    CHECK(found.apic_ids[1] == 5);
    CHECK(found.io_apic == io_apic_address);
    CHECK(found.hpet == 0xfed00000);
}

std::string panic_of_reading() {
    try {
        kernel::read_machine();
    } catch (const panicked& caught) {
        return caught.what;
    }
    return "";
}

} // namespace

namespace kernel {

void* physical_to_virtual(uintptr_t physical) {
    if (physical >= memory.size())
        throw panicked{"the test has no such memory", physical};
    return memory.data() + physical;
}

void panic(const char* what, const nmisafe::x86::trap_frame*, uintptr_t value) {
    throw panicked{what, value};
}

} // namespace kernel

TEST_CASE("a sound machine is read, wherever its root pointer is") {
    set_up_machine();
    expect_machine();

    set_up_machine(); // at the very end of the ROM, where only a pointer of the first revision fits
    memory[bios_rom] = 0;
    root(0x100000 - 32, rsdt_at);
    expect_machine();

    set_up_machine();
    memory[bios_rom] = 0;
    root(bios_data_area + 992, rsdt_at);
    expect_machine();

    set_up_machine();
    memory[bios_rom] = 0;
    CHECK(panic_of_reading() == "no ACPI root pointer");
}

TEST_CASE("entries that are null, out of reach or of damaged tables are passed over") {
    set_up_machine();
    list(rsdt_at, 4, {0, other_at, 0, madt_at, hpet_at, 0});
    expect_machine();

    list(rsdt_at, 4, {0xfffffff0, madt_at, 0xffffffdd, hpet_at});
    expect_machine();

    list(rsdt_at, 4, {other_at, madt_at, hpet_at});
    memory[other_at + 50] ^= 1;
    expect_machine();
    memory[other_at + 50] ^= 1;

    for (const uint32_t length : {0U, 35U, 0xffffffffU}) {
        CAPTURE(length);
        std::memcpy(&memory[other_at + 4], &length, sizeof length);
        expect_machine();
    }
}

TEST_CASE("what is needed must be sound") {
    set_up_machine();
    memory[madt_at + 40] ^= 1;
    CHECK(panic_of_reading() == "ACPI table has a bad checksum");

    set_up_machine();
    memory[hpet_at + 40] ^= 1;
    CHECK(panic_of_reading() == "ACPI table has a bad checksum");

    set_up_machine();
    memory[rsdt_at + 30] ^= 1;
    CHECK(panic_of_reading() == "ACPI table has a bad checksum");

    for (const uint32_t length : {35U, 0xffffffffU}) {
        set_up_machine();
        std::memcpy(&memory[madt_at + 4], &length, sizeof length);
        CHECK(panic_of_reading() == "ACPI table has a bad length");
    }

    set_up_machine();
    root(bios_rom, 0);
    CHECK(panic_of_reading() == "ACPI table out of reach");

    set_up_machine();
    list(rsdt_at, 4, {});
    CHECK(panic_of_reading() == "no ACPI table of the APICs");

    set_up_machine(); // the second of two is taken if the first is damaged
    table(other_at, "APIC", madt_of(io_apic()));
    memory[other_at + 50] ^= 1;
    expect_machine();
}

TEST_CASE("the wide list is preferred, and done without if it cannot be used") {
    set_up_machine();
    list(xsdt_at, 8, {0, other_at, 0x1'0000'0000, madt_at, hpet_at});
    list(rsdt_at, 4, {});
    root(bios_rom, rsdt_at, xsdt_at, 2);
    expect_machine();

    set_up_machine();
    list(xsdt_at, 8, {});
    memory[xsdt_at + 30] ^= 1; // damaged
    root(bios_rom, rsdt_at, xsdt_at, 2);
    expect_machine();

    root(bios_rom, rsdt_at, 0x1'0000'0000, 2); // where this kernel sees nothing
    expect_machine();

    list(xsdt_at, 8, {});
    root(bios_rom, rsdt_at, xsdt_at, 2);
    memory[bios_rom + 32] ^= 1; // the extended checksum
    expect_machine();

    root(bios_rom, rsdt_at, xsdt_at, 1); // a revision that has none
    expect_machine();
}

TEST_CASE("the entries of the APICs' table, up to the last CPU and one more") {
    set_up_machine();
    table(madt_at, "APIC", madt_of(local_apic(0, 0) + local_apic(1) + bytes{9, 2} + io_apic()));
    kernel::machine found = kernel::read_machine();
    CHECK(found.cpus == 1);
    CHECK(found.apic_ids[0] == 1);

    for (unsigned char cpus = 1; cpus <= kernel::most_cpus + 1; ++cpus) {
        bytes entries = io_apic();
        for (unsigned char id = 0; id < cpus; ++id)
            entries = entries + local_apic(id);
        table(madt_at, "APIC", madt_of(entries));
        found = kernel::read_machine();
        CHECK(found.cpus == std::min<uint32_t>(cpus, kernel::most_cpus));
        CHECK(found.apic_ids[found.cpus - 1] == found.cpus - 1);
        CHECK(found.cpus_left_out == cpus - found.cpus);
    }

    table(madt_at, "APIC", madt_of(local_apic(0)));
    CHECK(panic_of_reading() == "no I/O APIC");

    const bytes bad_entries[] = {
        {0, 7, 0, 0, 1, 0, 0},  // a local APIC that is too short
        {1, 11, 0, 0, 0, 0, 0}, // an I/O APIC
        {2, 0},                 // one that would never end
        {2, 3},                 // one that ends behind the table
    };
    for (const bytes& bad : bad_entries) {
        table(madt_at, "APIC", madt_of(io_apic() + bad));
        CHECK(panic_of_reading() == "ACPI table of the APICs has a bad entry");
    }
    table(madt_at, "APIC", madt_of(io_apic() + bytes{2})); // half an entry's header: ends the table
    CHECK(panic_of_reading() == "");
}

TEST_CASE("an HPET that no table names, or that cannot be reached") {
    set_up_machine();
    list(rsdt_at, 4, {madt_at});
    CHECK(kernel::read_machine().hpet == 0);

    set_up_machine();
    table(hpet_at, "HPET", bytes(15));
    CHECK(panic_of_reading() == "ACPI table has a bad length");

    for (const bytes& unreachable : {hpet_of(0xfed00000, 1), hpet_of(0x1'0000'0000)}) {
        set_up_machine();
        table(hpet_at, "HPET", unreachable);
        CHECK(panic_of_reading() == "the HPET is out of reach");
    }
}
