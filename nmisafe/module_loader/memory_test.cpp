// SPDX-License-Identifier: MIT
#include "nmisafe/module_loader/memory_test.hpp"

#include <cstdio>
#include <map>
#include <string>
#include <sys/mman.h>

namespace nmisafe::module_loader::test {

// Below 2 GiB, and clear of where programs and their stacks lie.
vmalloc::area code_area(0x20000000, 0x28000000, 2);
vmalloc::area read_only_area(0x28000000, 0x30000000, 2);
vmalloc::area data_area(0x30000000, 0x38000000, 2);
#ifdef __x86_64__
vmalloc::area far_area(0x700000000000, 0x700008000000, 4);
#else
vmalloc::area far_area(0x38000000, 0x40000000, 2);
#endif

memory_state memory;

namespace {

constexpr size_t page = 4096;
std::map<void*, size_t> mapped;

size_t whole_pages(size_t size) {
    return (size + page - 1) / page * page;
}

bool may_synchronise() {
    return !memory.cannot_synchronise;
}

void* allocate(const vmalloc::area& where, size_t size) {
    if (++memory.allocations == memory.failing_allocation)
        return nullptr;
    if (memory.refuses_more_than != 0 && size > memory.refuses_more_than)
        return nullptr;
    const size_t whole = whole_pages(size);
    constexpr uintptr_t step = 0x10000;
    for (uintptr_t at = where.begin(); at < where.end(); at += step) {
        void* const wanted = reinterpret_cast<void*>(at);
        void* const got = mmap(wanted, whole, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (got == wanted) {
            mapped[got] = whole;
            ++memory.mappings;
            memory.bytes += whole;
            return got;
        }
        if (got != MAP_FAILED) // an old system takes the address as a hint
            munmap(got, whole);
    }
    return nullptr;
}

bool protect(const vmalloc::area& where, void* address, vmalloc::permission may) {
    if (++memory.protections == memory.failing_protection)
        return false;
    if (!where.contains(reinterpret_cast<uintptr_t>(address)))
        return false;
    const int flags = may == vmalloc::permission::execute     ? PROT_READ | PROT_EXEC
                      : may == vmalloc::permission::read_only ? PROT_READ
                                                              : PROT_READ | PROT_WRITE;
    return mprotect(address, mapped.at(address), flags) == 0;
}

bool release(const vmalloc::area& where, void* address) {
    if (memory.failing_releases != 0) {
        --memory.failing_releases;
        return false;
    }
    const auto found = mapped.find(address);
    if (found == mapped.end() || !where.contains(reinterpret_cast<uintptr_t>(address)))
        return false;
    munmap(address, found->second);
    --memory.mappings;
    memory.bytes -= found->second;
    mapped.erase(found);
    return true;
}

} // namespace

const memory_functions mapped_memory{may_synchronise, allocate, protect, release};

const char* permission_of(uintptr_t address) {
    static std::string answer;
    answer.clear();
    if (std::FILE* const maps = std::fopen("/proc/self/maps", "r")) {
        char line[1024];
        unsigned long begin = 0;
        unsigned long end = 0;
        char flags[5];
        while (std::fgets(line, sizeof line, maps) != nullptr)
            if (std::sscanf(line, "%lx-%lx %4s", &begin, &end, flags) == 3 && address >= begin &&
                address < end)
                answer.assign(flags, 3);
        std::fclose(maps);
    }
    return answer.c_str();
}

} // namespace nmisafe::module_loader::test
