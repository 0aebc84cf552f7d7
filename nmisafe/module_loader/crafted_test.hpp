// SPDX-License-Identifier: MIT
/// An object made by hand, to be changed by tests.
#pragma once

#include "nmisafe/module_loader/internal/link.hpp"
#include "nmisafe/module_loader/memory_test.hpp"
#include "nmisafe/module_loader/module_loader.hpp"
#include "nmisafe/platform/fake/nmisafe_platform.hpp"

#include <doctest/doctest.h>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace nmisafe::module_loader::crafted {

using namespace internal;
using fake = nmisafe_platform;
using word = elf_native::address;

/// The sections of the object, by index.
enum : uint32_t {
    text = 1,
    data,
    bss,
    rodata,
    text_relocations,
    data_relocations,
    group,
    symbols,
    strings,
    names,
    debug,
    debug_relocations,
    count
};

/// Its symbols.
enum : uint32_t {
    text_symbol = 1, // local
    debug_symbol,    // local
    init,            // first global
    name,
    outside,
    weak_outside,
    common,
    symbol_count
};

inline constexpr uint32_t absolute_type = 1; // R_X86_64_64, R_386_32
inline constexpr uint32_t jump_type = 4;     // PLT32 of both

struct object_file {
    std::vector<uint8_t> bytes;

    template <typename T>
    T& at(size_t offset) {
        return *reinterpret_cast<T*>(bytes.data() + offset);
    }
    elf_native::header& header() { return at<elf_native::header>(0); }
    elf_native::section& section(uint32_t index) {
        return at<elf_native::section>(header().section_headers +
                                       index * sizeof(elf_native::section));
    }
    elf_native::symbol& symbol(uint32_t index) {
        return at<elf_native::symbol>(section(symbols).offset + index * sizeof(elf_native::symbol));
    }
    elf_native::relocation& relocation(uint32_t table, uint32_t index) {
        return at<elf_native::relocation>(section(table).offset +
                                          index * sizeof(elf_native::relocation));
    }
    uint8_t& byte(uint32_t of_section, size_t offset) {
        return bytes.at(section(of_section).offset + offset);
    }
    elf_word& word_of_group(uint32_t index) {
        return at<elf_word>(section(group).offset + index * sizeof(elf_word));
    }
};

/// Of either class: a template, so that what the other lacks is not compiled.
template <typename Relocation>
void set_relocation(Relocation& one, word offset, uint32_t symbol, uint32_t type, int addend) {
    one.offset = offset;
    if constexpr (requires { one.addend_bits; }) {
        one.info = (uint64_t{symbol} << 32) | type;
        one.addend_bits = static_cast<uint64_t>(int64_t{addend});
    } else {
        one.info = (symbol << 8) | type;
    }
}

/// nmisafe_module_init: calls what `outside` is, returns true.
inline constexpr uint8_t code[] = {0xe8, 0xfc, 0xff, 0xff, 0xff, // call outside (REL: addend -4)
                                   0xb8, 1,    0,    0,    0,    // movl $1, %eax
                                   0xc3};

/// Loads, and has an init function that calls `outside`.
object_file good_object();

/// Appends to the file a section table that is the old one and then `more`.
void add_sections(object_file& to, const std::vector<elf_native::section>& more);

/// How often it was called.
extern unsigned calls;

/// Has `outside`.
extern const host plain_host;

/// Read-only, and with an unmapped page right behind it: one byte too many is a fault.
class guarded_image {
  public:
    explicit guarded_image(const std::vector<uint8_t>& from);
    guarded_image(const guarded_image&) = delete;
    guarded_image& operator=(const guarded_image&) = delete;
    ~guarded_image();
    const uint8_t* data() const { return base_ + room_ - size_; }
    size_t size() const { return size_; }

  private:
    size_t size_;
    size_t room_;
    uint8_t* base_;
};

struct fixture {
    fixture() {
        fake::reset();
        test::memory = {};
        calls = 0;
    }
    ~fixture() { CHECK(test::memory.mappings == 0); }

    loaded_module module;
    std::set<load_error> reached;

    auto try_to_load(const object_file& from, const areas& where = test::near_areas) {
        const guarded_image image(from.bytes);
        return load(module, image.data(), image.size(), where, plain_host);
    }
    template <typename Result>
    void expect_error(const Result& result, load_error why) {
        REQUIRE_FALSE(result);
        CHECK(static_cast<int>(result.error()) == static_cast<int>(why));
        reached.insert(result.error());
    }
    /// Changes a good object, and wants that error.
    void expect(load_error why, const char* what, const std::function<void(object_file&)>& change) {
        INFO(std::string(what));
        object_file changed = good_object();
        change(changed);
        expect_error(try_to_load(changed), why);
        CHECK(static_cast<int>(module.latest_refusal().why) == static_cast<int>(why));
        CHECK(module.state() == module_state::empty);
        CHECK(test::memory.mappings == 0);
    }
    void bad_files();
    void bad_sections();
    void bad_constructors();
    void bad_symbols();
    void bad_relocations();
    void bad_calls();
};

} // namespace nmisafe::module_loader::crafted
