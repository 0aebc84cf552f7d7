// SPDX-License-Identifier: MIT
#include "nmisafe/module_loader/declare.hpp"
NMISAFE_MODULE_NAME("counter");
bool nmisafe_module_init() {
    return true;
}
void nmisafe_module_exit() {}

#include "nmisafe/module_loader/exports.hpp"
#include "nmisafe/module_loader/module_loader.hpp"

using namespace nmisafe;

namespace kernel {
void print(const char* text);
}

#ifdef __x86_64__
constexpr uintptr_t begin = 0xffff'c000'0000'0000;
constexpr uintptr_t size_of_entry = uintptr_t{1} << 39;
constexpr unsigned level = 4;
#else
constexpr uintptr_t begin = 0xe000'0000;
constexpr uintptr_t size_of_entry = uintptr_t{1} << 22;
constexpr unsigned level = 2;
#endif
constexpr vmalloc::area code_area(begin, begin + size_of_entry, level);
constexpr vmalloc::area constants_area(begin + size_of_entry, begin + 2 * size_of_entry, level);
constexpr vmalloc::area data_area(begin + 2 * size_of_entry, begin + 3 * size_of_entry, level);

uintptr_t find(void* context, const char* name);
bool join(void* context, module_loader::loaded_module& which);
void leave(void* context, module_loader::loaded_module& which);
bool wait(void* context, module_loader::loaded_module& which);

NMISAFE_EXPORT_SYMBOL(kernel::print);
const module_loader::areas areas{&code_area, &constants_area, &data_area};
const module_loader::host host{.find_symbol = find,
                               .join = join,
                               .leave = leave,
                               .wait_until_unused = wait,
                               .memory = &module_loader::vmalloc_memory};
constinit module_loader::loaded_module module;

void thread(const void* image, size_t size) {
    const auto loaded = module_loader::load(module, image, size, areas, host);
    const auto started = module_loader::start(module);
    const auto gone = module_loader::unload(module);
}
