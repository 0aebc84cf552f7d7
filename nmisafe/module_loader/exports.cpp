// SPDX-License-Identifier: MIT
#include "nmisafe/module_loader/exports.hpp"

#include "nmisafe/module_loader/internal/object.hpp"

using nmisafe::module_loader::exported_symbol;

// Weak: a program may export nothing.
extern "C" [[gnu::weak]] const exported_symbol __start_nmisafe_exported_symbols[];
extern "C" [[gnu::weak]] const exported_symbol __stop_nmisafe_exported_symbols[];

namespace nmisafe::module_loader {

uintptr_t symbol_table::find(const char* name) const {
    for (const exported_symbol& one : *this)
        if (internal::same_string(one.name(), name))
            return one.address();
    return 0;
}

symbol_table program_exports() {
    return {__start_nmisafe_exported_symbols, __stop_nmisafe_exported_symbols};
}

symbol_table module_exports(const loaded_module& which) {
    const address_range range = which.find_section("nmisafe_exported_symbols");
    return {reinterpret_cast<const exported_symbol*>(range.begin),
            reinterpret_cast<const exported_symbol*>(range.end)};
}

} // namespace nmisafe::module_loader
