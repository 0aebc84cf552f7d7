// SPDX-License-Identifier: MIT
// Everything that runs between a trap's delivery and its handler, or between the handler and the
// return, is in one section, with the entry code: the range that no probe or breakpoint may touch,
// because a trap there would come back to where it was taken, or lose CR2. What is called from here
// is in it too or inlined, at -O0 also, unless it never returns: tests/image looks.
#pragma once

#define NMISAFE_TRAP_TEXT gnu::section("nmisafe_trap_text")
