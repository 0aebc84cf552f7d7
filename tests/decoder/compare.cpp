// SPDX-License-Identifier: MIT
// What both the decoder and Zydis accept, part by part.
#include "tests/decoder/expected_class.hpp"
#include "tests/decoder/oracle.hpp"

namespace decoder_test {

using namespace nmisafe::x86;

namespace {

/// In the decoder's terms, from the bytes that Zydis took for prefixes.
uint8_t prefixes_of(const ZydisDecodedInstruction& theirs) {
    unsigned found = 0;
    constexpr unsigned repeats = prefix::repeat | prefix::repeat_not_equal;
    for (unsigned i = 0; i < theirs.raw.prefix_count; ++i)
        switch (theirs.raw.prefixes[i].value) {
        case 0x66:
            found |= prefix::operand_size;
            break;
        case 0x67:
            found |= prefix::address_size;
            break;
        case 0xf0:
            found |= prefix::lock;
            break;
        case 0xf2:
            found = (found & ~repeats) | prefix::repeat_not_equal;
            break;
        case 0xf3:
            found = (found & ~repeats) | prefix::repeat;
            break;
        default:
            if (theirs.raw.prefixes[i].value < 0x40 || theirs.raw.prefixes[i].value > 0x4f)
                found |= prefix::segment;
        }
    return static_cast<uint8_t>(found);
}

opcode_map map_of(const ZydisDecodedInstruction& theirs) {
    switch (theirs.opcode_map) {
    case ZYDIS_OPCODE_MAP_0F:
    case ZYDIS_OPCODE_MAP_0F0F:
        return opcode_map::map_0f;
    case ZYDIS_OPCODE_MAP_0F38:
        return opcode_map::map_0f38;
    case ZYDIS_OPCODE_MAP_0F3A:
        return opcode_map::map_0f3a;
    case ZYDIS_OPCODE_MAP_MAP5:
        return opcode_map::map_5;
    case ZYDIS_OPCODE_MAP_MAP6:
        return opcode_map::map_6;
    case ZYDIS_OPCODE_MAP_XOP8:
        return opcode_map::xop_8;
    case ZYDIS_OPCODE_MAP_XOP9:
        return opcode_map::xop_9;
    case ZYDIS_OPCODE_MAP_XOPA:
        return opcode_map::xop_a;
    default:
        return opcode_map::one_byte;
    }
}

encoding form_of(const ZydisDecodedInstruction& theirs) {
    switch (theirs.encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
        return encoding::vex;
    case ZYDIS_INSTRUCTION_ENCODING_XOP:
        return encoding::xop;
    case ZYDIS_INSTRUCTION_ENCODING_EVEX:
        return encoding::evex;
    default:
        return encoding::legacy;
    }
}

} // namespace

void oracle::compare(const instruction& ours, const ZydisDecodedInstruction& theirs,
                     const uint8_t* bytes) {
    if (ours.length != theirs.length) {
        differ("length " + std::to_string(ours.length) + ", Zydis " + std::to_string(theirs.length),
               bytes, maximum_instruction_length);
        return;
    }
    const auto same = [&](const char* what, auto our_value, auto their_value) {
        if (static_cast<int64_t>(our_value) != static_cast<int64_t>(their_value))
            differ(std::string(what) + " " + std::to_string(static_cast<int64_t>(our_value)) +
                       ", Zydis " + std::to_string(static_cast<int64_t>(their_value)),
                   bytes, ours.length);
    };
    const auto& raw = theirs.raw;
    same("map", ours.map, map_of(theirs));
    if (theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW) {
        same("opcode behind the operands", bytes[ours.length - 1], theirs.opcode);
    } else {
        same("opcode", ours.opcode, theirs.opcode);
        same("opcode at its offset", bytes[ours.opcode_offset], theirs.opcode);
    }
    same("encoding", ours.form, form_of(theirs));
    same("modrm offset", ours.modrm_offset, raw.modrm.offset);
    same("modrm", ours.modrm, ours.modrm_offset == 0 ? 0 : bytes[raw.modrm.offset]);
    same("sib offset", ours.sib_offset, raw.sib.offset);
    same("displacement size", ours.displacement_size * 8, raw.disp.size);
    same("displacement offset", ours.displacement_offset, raw.disp.offset);
    same("displacement", ours.displacement, raw.disp.value);
    if (theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW)
        return;
    same("immediate size", ours.immediate_size * 8, raw.imm[0].size + raw.imm[1].size);
    same("immediate offset", ours.immediate_offset, raw.imm[0].offset);
    if (raw.imm[1].size == 0 && raw.imm[0].size != 0) {
        // Zydis extends only what the instruction extends; the bits that are there must agree.
        const unsigned unused = 64u - raw.imm[0].size;
        same("immediate", static_cast<uint64_t>(ours.immediate) << unused,
             raw.imm[0].value.u << unused);
        same("sign", ours.immediate,
             static_cast<int64_t>(static_cast<uint64_t>(ours.immediate) << unused) >> unused);
    }
    const bool relative_immediate =
        is_relative_branch(ours.kind) ||
        (ours.kind == instruction_class::transaction && ours.opcode == 0xc7);
    same("relative immediate", relative_immediate, raw.imm[0].is_relative);
    same("position dependence", relative_immediate || ours.ip_relative,
         (theirs.attributes & ZYDIS_ATTRIB_IS_RELATIVE) != 0);
    same("prefixes", ours.prefixes, prefixes_of(theirs));
    same("rex", ours.rex,
         (theirs.attributes & ZYDIS_ATTRIB_HAS_REX) != 0 ? bytes[raw.rex.offset] : 0);
    same("class", ours.kind, expected_class(theirs));
}

} // namespace decoder_test
