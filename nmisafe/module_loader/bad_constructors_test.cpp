// SPDX-License-Identifier: MIT
// Tables of constructors and destructors that are none.
#include "nmisafe/module_loader/crafted_test.hpp"

#include <cstring>

namespace nmisafe::module_loader::crafted {

void fixture::bad_constructors() {
    using e = load_error;
    constexpr auto old = elf::progbits;
    const struct {
        const char* name;
        uint32_t type;
    } tables[] = {
        {".ctors", old}, {".dtors", old}, {".data", elf::init_array}, {".data", elf::fini_array}};
    for (const auto& table : tables) {
        // .rel.data follows in .shstrtab: so there is room.
        const auto become = [&](auto& o) {
            std::memcpy(&o.byte(names, o.section(data).name), table.name,
                        std::strlen(table.name) + 1);
            o.section(data).type = table.type;
            o.section(data_relocations).size = 0;
        };
        expect(e::bad_constructors, "half an address", [&](auto& o) {
            become(o);
            o.section(data).size -= sizeof(word) / 2;
        });
        expect(e::bad_constructors, "code", [&](auto& o) {
            become(o);
            o.section(data).flags = elf::alloc | elf::execinstr;
        });
        if (table.type == old)
            expect(e::bad_constructors, "zeros", [&](auto& o) {
                become(o);
                o.section(data).type = elf::nobits;
            });
        expect(e::bad_entry_point, "nowhere", [&](auto& o) {
            become(o);
            o.byte(data, 0) = 1;
        });
        for (const bool behind : {false, true})
            expect(e::bad_entry_point, "not in code", [&](auto& o) {
                become(o);
                o.section(data_relocations).size = sizeof(elf_native::relocation);
                set_relocation(o.relocation(data_relocations, 0), 0, behind ? text_symbol : name,
                               absolute_type, behind ? sizeof code : 0);
                if (behind)
                    o.byte(data, 0) = sizeof code; // the addend, where it stands there
            });
        // Empty ones, and those whose entries are none, are no harm.
        object_file good = good_object();
        become(good);
        std::memset(&good.byte(data, sizeof(word)), 0xff, sizeof(word));
        REQUIRE(try_to_load(good));
        REQUIRE(start(module));
        REQUIRE(unload(module));
        good.section(data).size = 0;
        REQUIRE(try_to_load(good));
        REQUIRE(unload(module));
    }
    expect(e::bad_constructors, ".preinit_array",
           [](auto& o) { o.section(data).type = elf::preinit_array; });
}

} // namespace nmisafe::module_loader::crafted
