// SPDX-License-Identifier: MIT
// A trace's metadata as text, in both versions of CTF, and what is beside it.
#pragma once

#include <string>
#include <string_view>

#include "tool/trace/description.hpp"

namespace nmisafe::tool {

// CTF 1.8: TSDL. For a description that check_description() accepts, as all that write.
std::string write_tsdl(const trace_description& about);

// CTF 2: a sequence of JSON texts [ctf 2]. The streams are the same for both.
std::string write_ctf2(const trace_description& about);

// Throws a trace_error, without a file's name: it is damaged, or of packets that are laid out in
// another way than ring_buffer's.
trace_description read_ctf2(std::string_view text);

// `.nmisafe.json`: the second half of the description.
std::string write_sidecar(const trace_description& about);
// Into `to`, whose first half stays. Throws as read_ctf2().
void read_sidecar(std::string_view text, trace_description& to);

} // namespace nmisafe::tool
