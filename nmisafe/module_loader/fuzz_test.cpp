// SPDX-License-Identifier: MIT
// libFuzzer's entry: an object of either class is checked, laid out and linked, in one 64-bit
// process. All memory is as large as the loader asked for, to the byte, so that AddressSanitizer
// sees the first byte too many. What a sanitizer cannot see is checked here: sections that overlap,
// tables that are torn apart, a directory that lies.
//
// Some mutations are libFuzzer's own; others set one field of one ELF structure to a value that is
// likely to be at a border.
#include "nmisafe/module_loader/fuzz_mutations_test.hpp"
#include "nmisafe/module_loader/internal/link.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

using namespace nmisafe::module_loader;
using namespace nmisafe::module_loader::internal;
using namespace nmisafe::module_loader::fuzz;

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t maximum);

namespace {

void require(bool condition, const char* what) {
    if (condition)
        return;
    std::fprintf(stderr, "ERROR: invariant broken: %s\n", what);
    std::abort();
}

/// Exactly `size` bytes, zero, on a page boundary.
struct memory {
    explicit memory(uint64_t size) : size(size) {
        void* got = nullptr;
        require(posix_memalign(&got, page_size, size) == 0, "the host has no memory");
        bytes = static_cast<uint8_t*>(got);
        if (size != 0)
            std::memset(bytes, 0, size);
    }
    memory(const memory&) = delete;
    memory& operator=(const memory&) = delete;
    ~memory() { std::free(bytes); }

    uint64_t size;
    uint8_t* bytes;
};

uint32_t hash_of(const char* text) {
    uint32_t hash = 0;
    for (; *text != 0; ++text)
        hash = hash * 31 + static_cast<uint8_t>(*text);
    return hash;
}

/// Some symbols are there, some are not, some are far away; all as the name says.
uintptr_t find_symbol(void*, const char* name) {
    const uint32_t hash = hash_of(name);
    if (hash % 4 == 0)
        return 0;
    return hash % 16 == 1 ? uintptr_t{0x123456789abc} : 0xffffffff80000000 + hash % 0x100000;
}

template <typename Elf>
struct run {
    object<Elf> from;
    refusal why{};
    std::vector<placement> places{};
    std::vector<symbol_value> values{};
    layout_result layout{};

    bool check_and_lay_out() {
        if (!checker<Elf>(from, why).check())
            return false;
        places.resize(from.section_count);
        values.resize(from.symbol_count);
        return layouter<Elf>(from, places.data(), values.data(), layout, why).lay_out();
    }

    /// No two things share a byte, all are aligned and within their segment, and the sections of
    /// one name lie side by side.
    void check_layout() const {
        struct interval {
            uint64_t begin, end;
        };
        std::vector<interval> used[segment_count];
        const auto place = [&](segment where, uint64_t offset, uint64_t size, uint64_t alignment) {
            require(alignment <= 1 || offset % alignment == 0, "alignment");
            require(size <= layout.sizes[where] && offset <= layout.sizes[where] - size, "segment");
            if (size != 0)
                used[where].push_back({offset, offset + size});
        };
        for (uint32_t i = 1; i < from.section_count; ++i) {
            if (!from.is_loaded(i))
                continue;
            const auto& one = from.sections[i];
            require(one.name + length_of(from.section_name(i)) < from.section_names_size,
                    "a section's name ends within its table");
            place(from.segment_of(i), places[i].offset, one.size, one.alignment);
            if (const uint32_t next = places[i].next; next != 0) {
                require(next > i && from.segment_of(i) == from.segment_of(next) &&
                            same_string(from.section_name(i), from.section_name(next)),
                        "sections of one name");
                const uint64_t end = places[i].offset + one.size;
                const uint64_t wanted = from.sections[next].alignment;
                require(places[next].offset >= end &&
                            places[next].offset - end < std::max<uint64_t>(wanted, 1),
                        "side by side");
            }
        }
        for (uint32_t i = 1; i < from.symbol_count; ++i) {
            if (from.symbols[i].section == elf::undefined)
                require(from.symbols[i].name + length_of(from.symbol_name(i)) <
                            from.symbol_names_size,
                        "a symbol's name ends within its table");
            if (from.symbols[i].section == elf::common)
                place(data_segment, values[i].value, from.symbols[i].size, from.symbols[i].value);
        }
        constexpr uint64_t word = sizeof(typename Elf::address);
        place(read_only_segment, layout.table, layout.slot_count * word, 1);
        place(read_only_segment, layout.calls,
              (uint64_t{layout.call_counts[constructors]} + layout.call_counts[destructors]) * word,
              1);
        place(read_only_segment, layout.directory,
              layout.directory_count * sizeof(directory_entry<Elf>), alignof(directory_entry<Elf>));
        for (auto& intervals : used) {
            std::sort(intervals.begin(), intervals.end(),
                      [](const auto& a, const auto& b) { return a.begin < b.begin; });
            for (size_t i = 1; i < intervals.size(); ++i)
                require(intervals[i - 1].end <= intervals[i].begin, "overlap");
        }
    }

    void link() {
        // The entry point means nothing in such an object; so its bits choose what the host does:
        // data far away, so that relocations overflow, and replacements of weak symbols.
        const auto choice = from.template at<typename Elf::header>(0)->entry;
        const bool far = (choice & 1) != 0;
        const bool replaces = (choice & 2) != 0;
        memory code(layout.sizes[code_segment]);
        memory constants(layout.sizes[read_only_segment]);
        memory data(layout.sizes[data_segment]);
        segment_memory segments[segment_count] = {
            {code.bytes, 0xffffffff90000000},
            {constants.bytes, 0xffffffffb0000000},
            {data.bytes, far ? 0xffff800000000000 : 0xffffffffd0000000}};
        if constexpr (sizeof(typename Elf::address) == 4)
            for (auto& one : segments)
                one.address = static_cast<uint32_t>(one.address);
        const symbol_source source{nullptr, find_symbol, replaces ? find_symbol : nullptr};
        entry_points entries{};
        if (!linker<Elf>(from, places.data(), values.data(), layout, segments, source, why)
                 .link(entries)) {
            require(why.why != load_error{}, "an error has a reason");
            if (why.symbol != nullptr)
                require(std::strlen(why.symbol) < from.size, "a symbol's name ends");
            return;
        }
        check_contents(segments);
        check_directory(segments);
        check_entry_points(entries, segments);
    }

    /// Sections without relocations are copies.
    void check_contents(const segment_memory* segments) const {
        std::vector<bool> changed(from.section_count);
        for (uint32_t i = 1; i < from.section_count; ++i)
            if (from.has_relocations(i))
                changed[from.sections[i].info] = true;
        for (uint32_t i = 1; i < from.section_count; ++i) {
            const auto& one = from.sections[i];
            if (!from.is_loaded(i) || changed[i] || one.size == 0)
                continue;
            const uint8_t* const at = segments[from.segment_of(i)].bytes + places[i].offset;
            if (one.type != elf::nobits)
                require(std::memcmp(at, from.bytes + one.offset, one.size) == 0, "contents");
            else
                require(std::all_of(at, at + one.size, [](uint8_t b) { return b == 0; }), "zeros");
        }
    }

    /// Each section is within the range that its name has.
    void check_directory(const segment_memory* segments) const {
        const uint8_t* const begin = segments[read_only_segment].bytes + layout.directory;
        const auto* const entries = reinterpret_cast<const directory_entry<Elf>*>(begin);
        std::vector<std::string> names;
        for (uint32_t i = 0; i < layout.directory_count; ++i)
            names.emplace_back(reinterpret_cast<const char*>(begin) + entries[i].name);
        for (uint32_t i = 1; i < from.section_count; ++i) {
            if (!from.is_loaded(i) || from.sections[i].size == 0)
                continue;
            const auto name = std::find(names.begin(), names.end(), from.section_name(i));
            require(name != names.end(), "in the directory");
            const auto& range = entries[name - names.begin()];
            const auto address = static_cast<typename Elf::address>(
                segments[from.segment_of(i)].address + places[i].offset);
            require(address >= range.begin && address + from.sections[i].size <= range.end,
                    "in the range of its name");
        }
    }

    void check_entry_points(const entry_points& entries, const segment_memory* segments) const {
        const auto is_code = [&](uint64_t address) {
            return address - segments[code_segment].address < layout.sizes[code_segment];
        };
        for (const uint64_t entry : {entries.init, entries.exit})
            require(entry == 0 || is_code(entry), "entry point");
        for (const call_list& list : entries.calls) {
            const uint64_t begin = list.address - segments[read_only_segment].address;
            constexpr uint64_t size = sizeof(typename Elf::address);
            require(list.count == 0 ||
                        (begin <= layout.sizes[read_only_segment] &&
                         list.count <= (layout.sizes[read_only_segment] - begin) / size),
                    "calls");
            for (uint64_t i = 0; i < list.count; ++i) {
                typename Elf::address function = 0;
                std::memcpy(&function, segments[read_only_segment].bytes + begin + i * size, size);
                require(is_code(function), "a constructor or destructor");
            }
        }
        const uint64_t name = entries.name - segments[read_only_segment].address;
        require(entries.name == 0 ||
                    (name < layout.sizes[read_only_segment] &&
                     std::memchr(segments[read_only_segment].bytes + name, 0,
                                 std::min(maximum_name, layout.sizes[read_only_segment] - name))),
                "name");
    }
};

constexpr size_t largest_input = 1 << 20;

/// Room for an input, then as many sections as a header can ask for: read-only, of one byte of
/// zeros.
template <typename Elf>
std::vector<uint8_t> room_and_sections() {
    typename Elf::section one{};
    one.type = elf::nobits;
    one.flags = elf::alloc;
    one.size = 1;
    constexpr size_t count = 0xffff;
    std::vector<uint8_t> made(largest_input + count * sizeof one);
    std::fill_n(reinterpret_cast<decltype(one)*>(made.data() + largest_input), count, one);
    return made;
}

/// An input is far smaller than a file whose sections reach the reserved indices; so what says that
/// it has so many gets those that are missing. They are made only once: that takes long.
template <typename Elf>
object<Elf> object_of(const uint8_t* data, size_t size) {
    using section = typename Elf::section;
    if (size < sizeof(typename Elf::header) || size > largest_input)
        return {data, size};
    const auto& header = *reinterpret_cast<const typename Elf::header*>(data);
    const uint64_t begin = header.section_headers;
    if (header.section_count < elf::first_reserved || begin > size)
        return {data, size};
    static std::vector<uint8_t> memory = room_and_sections<Elf>();
    const size_t kept = begin + (size - begin) / sizeof(section) * sizeof(section);
    uint8_t* const image = memory.data() + largest_input - kept;
    std::memcpy(image, data, kept);
    return {image, begin + header.section_count * sizeof(section)};
}

template <typename Elf>
void run_as(const uint8_t* data, size_t size) {
    run<Elf> one{object_of<Elf>(data, size)};
    if (!one.check_and_lay_out()) {
        require(one.why.why != load_error{}, "an error has a reason");
        return;
    }
    one.check_layout();
    constexpr uint64_t enough = 128 << 10; // what is larger costs much time and shows no more
    if (one.layout.sizes[0] + one.layout.sizes[1] + one.layout.sizes[2] <= enough)
        one.link();
}

} // namespace

#ifdef NMISAFE_MODULE_LOADER_CONTROLS
/// The environment names the check to be left out.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
    const std::pair<const char*, check> all[] = {
        {"relocation_place", check::relocation_place},
        {"relocation_symbol", check::relocation_symbol},
        {"string_end", check::string_end},
        {"section_extent", check::section_extent},
        {"alignment", check::alignment},
        {"section_count", check::section_count},
        {"symbol_name", check::symbol_name},
        {"called_function", check::called_function},
    };
    const char* const wanted = std::getenv("NMISAFE_WITHOUT");
    for (const auto& [name, which] : all)
        if (wanted != nullptr && std::string(wanted) == name)
            left_out = which;
    if (left_out == check::none) {
        std::fprintf(stderr, "NMISAFE_WITHOUT must name a check\n");
        std::exit(2);
    }
    return 0;
}
#endif

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t maximum,
                                          unsigned seed) {
    std::minstd_rand random(seed);
    if (size == 0 || random() % 4 == 0)
        return LLVMFuzzerMutate(data, size, maximum);
    for (auto times = random() % 3 + 1; times != 0; --times)
        change_field(data, size, random);
    return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    // At any alignment, with the end at the end of an allocation.
    const size_t shift = size % 8;
    std::vector<uint8_t> image(shift + size);
    if (size != 0)
        std::memcpy(image.data() + shift, data, size);
    if (is_class_32(data, size))
        run_as<elf_32>(image.data() + shift, size);
    else
        run_as<elf_64>(image.data() + shift, size);
    return 0;
}
