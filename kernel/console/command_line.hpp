// SPDX-License-Identifier: MIT
// The options the boot loader passed: words of the form name=value.
#pragma once

#include "kernel/common/text.hpp"

namespace kernel {

/// The loader puts the image's path in front, which may itself have 4095 characters.
inline constexpr size_t longest_command_line = 8191;

/// Keeps a copy of the command line. Panics if it is longer than longest_command_line: an option
/// cut off, or in two, would be another one. `line` may be null.
/// @context thread, once, before option().
void set_command_line(const char* line);

/// Panics, with the word on the console, if an option is none that this kernel knows: what somebody
/// meant by it would not happen. Words that are no options, as the image's path, are let be.
/// @context thread
void refuse_unknown_options();

/// The value of `name`, empty if it was not given. @context any
text option(text name);

/// The value of `name` as a decimal number, `fallback` if it was not given. Panics if it is no
/// number that fits. @context thread
uint32_t option_number(text name, uint32_t fallback);

} // namespace kernel
