// SPDX-License-Identifier: MIT
/// The class that an instruction must have, from what Zydis says about it.
#pragma once

#include "nmisafe/x86/instruction.hpp"

#include <Zydis/Zydis.h>

namespace decoder_test {

nmisafe::x86::instruction_class expected_class(const ZydisDecodedInstruction& theirs);

} // namespace decoder_test
