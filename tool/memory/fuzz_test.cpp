// SPDX-License-Identifier: MIT
// Images of dead machines, cut off and with bits turned: nothing that is in them makes the tool crash, hang or
// write what no reader takes. Built with AddressSanitizer and UndefinedBehaviorSanitizer.
//
//     fuzz_extract RUNS [SEED]
#include "tool/memory/dead_machine_test.hpp"

#include <cstdio>
#include <cstdlib>
#include <elf.h>
#include <random>

using namespace nmisafe;
using namespace nmisafe::tool;
using namespace nmisafe::tool::test;

namespace {

std::mt19937_64 numbers;

std::uint64_t below(std::uint64_t limit) {
    return numbers() % limit;
}

// Most of it is events; what is more interesting is turned more often.
std::size_t place(std::size_t size) {
    static constexpr std::uint64_t begins[] = {
        dead_machine::descriptor_at, dead_machine::block_at[0], dead_machine::block_at[1]};
    std::uint64_t at = below(dead_machine::size);
    if (below(8) != 0) {
        at = begins[below(3)] + below(below(2) == 0 ? 256 : 1200);
    }
    return static_cast<std::size_t>(at % size);
}

std::string damage(std::string image) {
    if (below(4) == 0) {
        image.resize(1 + below(image.size()));
    }
    for (std::uint64_t flips = below(12); flips != 0; --flips) {
        const std::size_t at = place(image.size());
        switch (below(4)) {
        case 0: // a word that is another number
            for (std::size_t i = at & ~std::size_t{3};
                 i < image.size() && i < (at & ~std::size_t{3}) + 4; ++i) {
                image[i] = static_cast<char>(below(2) == 0 ? 0xff : below(256));
            }
            break;
        default:
            image[at] = static_cast<char>(image[at] ^ 1 << below(8));
        }
    }
    return image;
}

std::string make_image(unsigned kind) {
    dead_machine machine(kind % 2 == 0 ? ring_buffer::mode::discard : ring_buffer::mode::overwrite);
    for (std::uint64_t i = below(200); i != 0; --i) {
        machine.event(below(2) != 0);
        if (below(100) == 0) {
            static_cast<void>(machine.open(0));
        }
    }
    return {reinterpret_cast<const char*>(machine.ram.data()), dead_machine::size};
}

} // namespace

int main(int argc, char** argv) {
    const std::uint64_t runs = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000;
    numbers.seed(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
    std::uint64_t read = 0;
    std::uint64_t refused = 0;
    std::uint64_t events = 0;
    std::uint64_t with_problems = 0;
    std::string image;
    for (std::uint64_t i = 0; i < runs; ++i) {
        if (i % 50 == 0) {
            image = make_image(static_cast<unsigned>(i / 50));
        }
        const std::string damaged = damage(image);
        try {
            const extracted out = extract_in_memory(
                {reinterpret_cast<const std::uint8_t*>(damaged.data()), damaged.size()});
            const read_back in = read_all(out);
            if (in.problems != 0) {
                std::printf("run %llu: what was written is not readable: %s\n",
                            static_cast<unsigned long long>(i), in.first_problem.c_str());
                return 1;
            }
            ++read;
            events += in.serials.size();
            with_problems += !out.problems.empty();
        } catch (const trace_error&) {
            ++refused;
        }
    }
    std::printf("%llu images: %llu traces (%llu with problems), %llu refused, %llu events\n",
                static_cast<unsigned long long>(runs), static_cast<unsigned long long>(read),
                static_cast<unsigned long long>(with_problems),
                static_cast<unsigned long long>(refused), static_cast<unsigned long long>(events));
    // Had it refused all, or had nothing been damaged, this would have shown nothing.
    return read > runs / 4 && refused > runs / 100 && with_problems > runs / 100 ? 0 : 1;
}
