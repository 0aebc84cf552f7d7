// SPDX-License-Identifier: MIT
/// Symbols that a program offers to modules.
///
///     NMISAFE_EXPORT_SYMBOL(kernel::counter); // at namespace scope, not in headers
///     NMISAFE_EXPORT_SYMBOL(static_cast<int (&)(int)>(overloaded));
///
///     const uintptr_t address = module_loader::program_exports().find("_ZN6kernel7counterE");
///
/// The name is the one that linkers see. The table is the section nmisafe_exported_symbols, 8 bytes
/// an entry, self-relative; it needs a line in a linker script only if the script drops or renames
/// sections (README.md). What it names survives --gc-sections.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/module_loader/module_loader.hpp"
#include "nmisafe/module_loader/x86/record.hpp"

#define NMISAFE_EXPORT_CONCATENATE_(a, b) a##b
#define NMISAFE_EXPORT_CONCATENATE(a, b) NMISAFE_EXPORT_CONCATENATE_(a, b)

/// Exports a function or variable with linkage.
#define NMISAFE_EXPORT_SYMBOL(...)                                                                 \
    [[gnu::used]] static void NMISAFE_EXPORT_CONCATENATE(nmisafe_export_, __COUNTER__)() {         \
        ::nmisafe::module_loader::internal::record_export<__VA_ARGS__>();                          \
    }                                                                                              \
    static_assert(true)

namespace nmisafe::module_loader {

/// An entry, as the assembler writes it (x86/record.hpp).
struct exported_symbol {
    int32_t address_offset;
    int32_t name_offset;

    // @context any
    uintptr_t address() const { return resolve(&address_offset); }
    const char* name() const { return reinterpret_cast<const char*>(resolve(&name_offset)); }

  private:
    static uintptr_t resolve(const int32_t* offset) {
        return reinterpret_cast<uintptr_t>(offset) + static_cast<uintptr_t>(intptr_t{*offset});
    }
};
static_assert(sizeof(exported_symbol) == 8 && alignof(exported_symbol) == 4,
              "as x86/record.hpp lays it out");

/// The symbols of a program or of a module.
class symbol_table {
  public:
    symbol_table(const exported_symbol* begin, const exported_symbol* end)
        : begin_(begin), end_(end) {}

    /// The address, or 0. Looks at one entry after the other: a string comparison each, most of
    /// which end early. @context any; of a module, not during its unload()
    uintptr_t find(const char* name) const;

    // @context any
    const exported_symbol* begin() const { return begin_; }
    const exported_symbol* end() const { return end_; }

  private:
    const exported_symbol* begin_;
    const exported_symbol* end_;
};

/// What this program exports. @context any
symbol_table program_exports();

/// What a module exports: for the host that wants to offer it to the next module, which then holds
/// a use of it. @context as loaded_module::find_section()
symbol_table module_exports(const loaded_module& which);

} // namespace nmisafe::module_loader
