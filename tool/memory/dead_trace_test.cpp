// SPDX-License-Identifier: MIT
// What is got out of the memory of machines that have died at any place.
#include "nmisafe/platform/fake/single_step.hpp"
#include "tool/memory/dead_machine_test.hpp"

#include <doctest/doctest.h>
#include <elf.h>

using namespace nmisafe;
using namespace nmisafe::tool;
using namespace nmisafe::tool::test;

namespace {

std::vector<std::uint32_t> up_to(std::uint32_t count) {
    std::vector<std::uint32_t> all(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        all[i] = i;
    }
    return all;
}

// An ELF core with two segments, at places in the file that are aligned to nothing.
template <typename Header, typename Segment>
std::string as_core(std::span<const std::uint8_t> ram, std::uint8_t width, std::uint64_t split) {
    std::string file(sizeof(Header) + 2 * sizeof(Segment) + 3, '\0');
    Header header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = width;
    header.e_type = ET_CORE;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Segment);
    header.e_phnum = 2;
    std::memcpy(file.data(), &header, sizeof header);
    std::uint64_t at = 0;
    for (unsigned i = 0; i < 2; ++i) {
        const std::uint64_t size = i == 0 ? split : ram.size() - split;
        Segment segment{};
        segment.p_type = PT_LOAD;
        segment.p_offset = static_cast<decltype(segment.p_offset)>(file.size());
        segment.p_paddr = static_cast<decltype(segment.p_paddr)>(at);
        segment.p_filesz = static_cast<decltype(segment.p_filesz)>(size);
        std::memcpy(file.data() + sizeof header + i * sizeof segment, &segment, sizeof segment);
        file.append(reinterpret_cast<const char*>(ram.data()) + at, size);
        at += size;
    }
    return file;
}

std::span<const std::uint8_t> bytes(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

} // namespace

TEST_CASE("all that is committed is there, in both modes, and nothing else") {
    for (const auto mode : {ring_buffer::mode::discard, ring_buffer::mode::overwrite}) {
        for (std::uint32_t count = 0; count < 400; count += 7) {
            dead_machine machine(mode);
            for (std::uint32_t i = 0; i < count; ++i) {
                machine.event(i % 3 == 0);
            }
            const extracted out = extract_in_memory(machine.image());
            const read_back in = read_all(out);
            INFO(in.first_problem);
            CHECK(in.problems == 0);
            CHECK(out.problems.empty());
            if (mode == ring_buffer::mode::discard) { // also of those that came when it was full
                CHECK(in.serials.size() + in.lost == count);
            }
            if (count < 60) {
                CHECK(in.serials == up_to(count));
            }
        }
    }
}

TEST_CASE("a machine dies at each instruction of a writer") {
    static dead_machine* machine;
    unsigned without = 0;
    unsigned with = 0;
    // The packet is empty, has room, and is full to within an event.
    for (const std::uint32_t before : {0u, 5u, 36u, 37u, 38u}) {
        dead_machine made(ring_buffer::mode::discard);
        machine = &made;
        for (std::uint32_t i = 0; i < before; ++i) {
            made.event(0);
        }
        // What there was at each, of one run: a copy changes nothing, and a step takes long.
        std::vector<aligned_bytes> images;
        platform::fake::step_through([] { machine->event(0); },
                                     [&](const platform::fake::boundary&) {
                                         images.emplace_back(dead_machine::size);
                                         std::memcpy(images.back().data(), machine->ram.data(),
                                                     dead_machine::size);
                                     });
        for (const aligned_bytes& image : images) {
            const extracted out = extract_in_memory({image.data(), image.size()});
            const read_back in = read_all(out);
            INFO(before, " ", &image - images.data(), " ", in.first_problem);
            REQUIRE(in.problems == 0);
            REQUIRE(out.problems.empty());
            const bool has_it = in.serials.size() > before;
            REQUIRE(in.serials == up_to(before + has_it));
            (has_it ? with : without) += 1;
        }
    }
    CHECK(without > 100);
    CHECK(with > 10);
}

TEST_CASE("what lies behind an event that is never completed is left out, and said") {
    dead_machine machine(ring_buffer::mode::discard);
    for (unsigned i = 0; i < 4; ++i) {
        machine.event(0);
    }
    static_cast<void>(machine.open(0));
    machine.event(0); // an NMI's
    const extracted out = extract_in_memory(machine.image());
    CHECK(read_all(out).serials == up_to(4));
    CHECK(out.unfinished == 1);
    CHECK(out.uncommitted == 2 * 11);
}

TEST_CASE("a descriptor is the one that lies where it says") {
    dead_machine machine(ring_buffer::mode::discard);
    machine.event(0);
    std::memcpy(machine.ram.data() + 0x1000, machine.descriptor, 0x1000);
    const image_layout layout = read_layout(machine.image(), 0);
    const search_result found = find_traces(layout.memory);
    REQUIRE(found.traces.size() == 1);
    CHECK(found.traces[0].physical == dead_machine::descriptor_at);
    REQUIRE(found.strays.size() == 1);
    CHECK(found.strays[0].physical == 0x1000);
    // An image that begins elsewhere.
    CHECK(read_all(extract_in_memory(machine.image().subspan(0x2000), 0x2000)).serials == up_to(1));
    CHECK_THROWS_AS(extract_in_memory(machine.image().subspan(0x2000), 0), trace_error);
}

TEST_CASE(
    "an ELF core, whatever its width and wherever its segments end; others are refused by name") {
    dead_machine machine(ring_buffer::mode::overwrite);
    for (unsigned i = 0; i < 30; ++i) {
        machine.event(i % 2);
    }
    for (const std::uint64_t split :
         {std::uint64_t{0x3800}, std::uint64_t{0x8123}, std::uint64_t{0x9000}}) {
        const std::string wide =
            as_core<Elf64_Ehdr, Elf64_Phdr>(machine.image(), ELFCLASS64, split);
        CHECK(read_all(extract_in_memory(bytes(wide))).serials == up_to(30));
        const std::string narrow =
            as_core<Elf32_Ehdr, Elf32_Phdr>(machine.image(), ELFCLASS32, split);
        CHECK(read_all(extract_in_memory(bytes(narrow))).serials == up_to(30));
    }
    std::string why;
    try {
        extract_in_memory(bytes(std::string("KDUMP   and more")));
    } catch (const trace_error& error) {
        why = error.what();
    }
    CHECK(why.find("kdump") != std::string::npos);
}

TEST_CASE("of an image that is cut off all is written that is there, and what is not is said") {
    dead_machine machine(ring_buffer::mode::discard);
    for (unsigned i = 0; i < 100; ++i) {
        machine.event(i % 2);
    }
    for (std::size_t size = 0; size < dead_machine::size; size += 0x321) {
        try {
            const extracted out = extract_in_memory(machine.image().first(size));
            const read_back in = read_all(out);
            CHECK(in.problems == 0);
            CHECK((in.serials.size() == 100 || !out.problems.empty()));
            CHECK(size > dead_machine::descriptor_at);
        } catch (const trace_error&) {
            CHECK(size < dead_machine::descriptor_at + 0x2000);
        }
    }
}

TEST_CASE("RAM goes on above 4 GiB") {
    constexpr std::uint64_t gib = std::uint64_t{1} << 30;
    CHECK(size_below_4_gib("q35", 2 * gib) == 2 * gib);
    CHECK(size_below_4_gib("pc-q35-7.2", 4 * gib) == 2 * gib);
    CHECK(size_below_4_gib("pc", 4 * gib) == 3 * gib);
    CHECK(size_below_4_gib("microvm", 64 << 20) == 64 << 20);
    const std::string ram = "below-above";
    const guest_memory memory = lay_out_ram(bytes(ram), 6);
    CHECK(memory.available(0, 11) == 6);
    REQUIRE(memory.find(4 * gib, 5) != nullptr);
    CHECK(std::memcmp(memory.find(4 * gib, 5), "above", 5) == 0);
    CHECK(memory.find(4 * gib, 6) == nullptr);
    CHECK(memory.find(~std::uint64_t{0}, 1) == nullptr);
}
