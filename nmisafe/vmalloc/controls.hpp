// SPDX-License-Identifier: MIT
/// The defence that a test may take out, to show that the test fails without it.
///
/// Compiled in only with NMISAFE_VMALLOC_CONTROLS, which no product build defines: otherwise not
/// one instruction of this remains.
#pragma once

namespace nmisafe::vmalloc {

#ifdef NMISAFE_VMALLOC_CONTROLS
/// Writes the word with the present bit first when an entry of two words becomes valid. Set once,
/// while one CPU runs.
extern bool present_word_first;
#else
inline constexpr bool present_word_first = false;
#endif

} // namespace nmisafe::vmalloc
