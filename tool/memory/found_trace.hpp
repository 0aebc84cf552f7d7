// SPDX-License-Identifier: MIT
// Traces that describe themselves in memory: where they are, and what they say. Nothing is believed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nmisafe/ring_buffer/layout.hpp"
#include "nmisafe/trace_descriptor/descriptor.hpp"
#include "tool/memory/guest_memory.hpp"
#include "tool/trace/description.hpp"

namespace nmisafe::tool {

// A descriptor, as it was when it was read.
struct found_trace {
    std::uint64_t physical = 0;
    aligned_bytes bytes;

    const trace_descriptor::descriptor& descriptor() const {
        return *reinterpret_cast<const trace_descriptor::descriptor*>(bytes.data());
    }
};

struct search_result {
    std::vector<found_trace> traces;
    // Descriptors that say that they lie elsewhere, where there is none: copies, or an image whose bytes lie
    // elsewhere than was said. Of these only the addresses: here, and what they say.
    struct stray {
        std::uint64_t physical = 0;
        std::uint64_t says = 0;
    };
    std::vector<stray> strays;
};

// All of them, in the order of their addresses. `only`: pieces of the memory that are worth a look.
search_result find_traces(const guest_memory& memory, const std::vector<memory_piece>& only);
search_result find_traces(const guest_memory& memory);

// Reads the one at this address. false: there is none.
bool read_trace(const guest_memory& memory, std::uint64_t physical, found_trace& to);

// What it says, as far as readers would take it; what they would not is left out, and said.
trace_description describe(const trace_descriptor::descriptor& of,
                           std::vector<std::string>& problems);

// Its tables alone, as they have grown: what it says beside them stays the same.
void describe_tables(const trace_descriptor::descriptor& of, trace_description& to,
                     std::vector<std::string>& problems);

std::vector<trace_descriptor::buffer_place> list_places(const trace_descriptor::descriptor& of);

// A file's name for a buffer's packets that is not among `taken`, which it joins: "kernel_0".
std::string stream_name(const ring_buffer::header& in, std::vector<std::string>& taken);

std::string name_of(trace_descriptor::machine_state state);

} // namespace nmisafe::tool
