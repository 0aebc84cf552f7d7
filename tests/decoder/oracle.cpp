// SPDX-License-Identifier: MIT
#include "tests/decoder/oracle.hpp"

#include "tests/decoder/expected_class.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace decoder_test {

using namespace nmisafe::x86;

namespace {

constexpr uint64_t reported_differences = 40;

/// Near branches with 66 in 64-bit mode: Intel ignores the prefix, AMD does not.
bool is_vendor_branch(const ZydisDecodedInstruction& theirs) {
    return theirs.machine_mode == ZYDIS_MACHINE_MODE_LONG_64 &&
           (theirs.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) != 0 &&
           (theirs.meta.branch_type == ZYDIS_BRANCH_TYPE_SHORT ||
            theirs.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR ||
            theirs.mnemonic == ZYDIS_MNEMONIC_XBEGIN);
}

/// Extensions that the decoder leaves out on purpose.
bool is_left_out(const ZydisDecodedInstruction& theirs) {
    switch (theirs.meta.isa_ext) {
    case ZYDIS_ISA_EXT_AMD3DNOW:
    case ZYDIS_ISA_EXT_AMD_INVLPGB:
    case ZYDIS_ISA_EXT_AMX_BF16:
    case ZYDIS_ISA_EXT_AMX_INT8:
    case ZYDIS_ISA_EXT_AMX_TILE:
    case ZYDIS_ISA_EXT_AVX2GATHER:
    case ZYDIS_ISA_EXT_AVX512EVEX:
    case ZYDIS_ISA_EXT_AVX512VEX:
    case ZYDIS_ISA_EXT_FMA4:
    case ZYDIS_ISA_EXT_HRESET:
    case ZYDIS_ISA_EXT_KEYLOCKER:
    case ZYDIS_ISA_EXT_KEYLOCKER_WIDE:
    case ZYDIS_ISA_EXT_KNC:
    case ZYDIS_ISA_EXT_KNCE:
    case ZYDIS_ISA_EXT_KNCV:
    case ZYDIS_ISA_EXT_MCOMMIT:
    case ZYDIS_ISA_EXT_MPX:
    case ZYDIS_ISA_EXT_PADLOCK:
    case ZYDIS_ISA_EXT_SNP:
    case ZYDIS_ISA_EXT_SSE4A:
    case ZYDIS_ISA_EXT_TBM:
    case ZYDIS_ISA_EXT_TDX:
    case ZYDIS_ISA_EXT_XOP:
        return true;
    default:
        return false;
    }
}

kind kind_of(const ZydisDecodedInstruction& theirs) {
    if (is_left_out(theirs))
        return kind::left_out;
    if (is_vendor_branch(theirs))
        return kind::vendor_branch;
    switch (theirs.meta.isa_ext) {
    case ZYDIS_ISA_EXT_X87:
        return kind::x87;
    case ZYDIS_ISA_EXT_AES:
    case ZYDIS_ISA_EXT_MMX:
    case ZYDIS_ISA_EXT_PCLMULQDQ:
    case ZYDIS_ISA_EXT_SHA:
    case ZYDIS_ISA_EXT_SSE:
    case ZYDIS_ISA_EXT_SSE2:
    case ZYDIS_ISA_EXT_SSE3:
    case ZYDIS_ISA_EXT_SSSE3:
    case ZYDIS_ISA_EXT_SSE4:
        return kind::mmx_sse;
    case ZYDIS_ISA_EXT_GFNI:
        return theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ? kind::mmx_sse : kind::avx;
    case ZYDIS_ISA_EXT_BMI1:
    case ZYDIS_ISA_EXT_BMI2:
        return kind::general;
    default:
        return theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ? kind::general : kind::avx;
    }
}

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
        return opcode_map::map_0f;
    case ZYDIS_OPCODE_MAP_0F38:
        return opcode_map::map_0f38;
    case ZYDIS_OPCODE_MAP_0F3A:
        return opcode_map::map_0f3a;
    default:
        return opcode_map::one_byte;
    }
}

} // namespace

const char* name_of(kind which) {
    constexpr const char* names[kinds] = {"general", "x87",           "MMX and SSE",
                                          "AVX",     "vendor branch", "left out"};
    return names[static_cast<int>(which)];
}

oracle::oracle(width mode) : mode_(mode) {
    const bool is_64 = mode == width::bits_64;
    if (ZYAN_FAILED(ZydisDecoderInit(
            &decoder_, is_64 ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LEGACY_32,
            is_64 ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32)))
        abort();
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void* pages =
        mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        abort();
    guarded_end_ = static_cast<uint8_t*>(pages) + page;
    if (mprotect(guarded_end_, page, PROT_NONE) != 0)
        abort();
}

oracle::~oracle() {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    munmap(guarded_end_ - page, 2 * page);
}

const std::map<std::string, tally>& oracle::mnemonics() const {
    by_name_.clear();
    for (int i = 0; i <= ZYDIS_MNEMONIC_MAX_VALUE; ++i)
        if (mnemonics_[i].valid != 0)
            by_name_[ZydisMnemonicGetString(static_cast<ZydisMnemonic>(i))] = mnemonics_[i];
    return by_name_;
}

unsigned oracle::check(const uint8_t* bytes, size_t available) {
    ++strings_;
    const auto ours = decode(bytes, available, mode_);
    ZydisDecodedInstruction theirs;
    const bool valid =
        ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder_, nullptr, bytes, available, &theirs));
    if (valid) {
        const kind which = kind_of(theirs);
        tally& by_kind = kinds_[static_cast<int>(which)];
        ++by_kind.valid;
        by_kind.accepted += ours.has_value();
        if (which != kind::left_out && which != kind::vendor_branch) {
            ++mnemonics_[theirs.mnemonic].valid;
            mnemonics_[theirs.mnemonic].accepted += ours.has_value();
        }
    }
    if (ours.has_value()) {
        if (!valid)
            differ("accepted, and Zydis refuses it", bytes, available);
        else
            compare(*ours, theirs, bytes);
        check_accepted(*ours, bytes);
    } else if (valid && (ours.error() == decode_error::truncated ||
                         ours.error() == decode_error::too_long)) {
        differ("said to go on beyond its end", bytes, available);
    }
    return valid ? theirs.length : 0;
}

void oracle::check_accepted(const instruction& ours, const uint8_t* bytes) {
    uint8_t* begin = guarded_end_ - ours.length;
    memcpy(begin, bytes, ours.length);
    // More is promised than there is: reading on is a page fault.
    const auto again = decode(begin, maximum_instruction_length, mode_);
    if (!again.has_value() || again->length != ours.length)
        differ("depends on bytes beyond its end", bytes, ours.length);
    for (size_t size = 0; size < ours.length; ++size) {
        const auto cut = decode(begin, size, mode_);
        if (cut.has_value() || cut.error() != decode_error::truncated)
            differ("cut off within, but not said to be truncated", bytes, size);
    }
}

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
    same("opcode", ours.opcode, theirs.opcode);
    same("opcode at its offset", bytes[ours.opcode_offset], theirs.opcode);
    same("vex", ours.vex, theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX);
    same("modrm offset", ours.modrm_offset, raw.modrm.offset);
    same("modrm", ours.modrm, ours.modrm_offset == 0 ? 0 : bytes[raw.modrm.offset]);
    same("sib offset", ours.sib_offset, raw.sib.offset);
    same("displacement size", ours.displacement_size * 8, raw.disp.size);
    same("displacement offset", ours.displacement_offset, raw.disp.offset);
    same("displacement", ours.displacement, raw.disp.value);
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

void oracle::differ(const std::string& what, const uint8_t* bytes, size_t size) {
    if (++differences_ > reported_differences)
        return;
    printf("difference: %s:", what.c_str());
    for (size_t i = 0; i < size && i < maximum_instruction_length; ++i)
        printf(" %02x", bytes[i]);
    ZydisDecodedInstruction theirs;
    if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder_, nullptr, bytes, size, &theirs)))
        printf(" (%s)", ZydisMnemonicGetString(theirs.mnemonic));
    printf("\n");
}

void oracle::print_summary() const {
    printf("%s: %" PRIu64 " strings, %" PRIu64 " differences\n",
           mode_ == width::bits_64 ? "64 bits" : "32 bits", strings_, differences_);
    for (int i = 0; i < kinds; ++i)
        if (kinds_[i].valid != 0)
            printf("  %-14s %10" PRIu64 " valid, %10" PRIu64 " accepted (%.3f %%)\n",
                   name_of(static_cast<kind>(i)), kinds_[i].valid, kinds_[i].accepted,
                   100 * kinds_[i].rate());
}

bool oracle::accepts_enough() const {
    // What is missing: aliases of x87 instructions; ud0; prefixes that change nothing on 0f 01,
    // where vendors keep putting new instructions; the nops 0f 1a and 0f 1b, which are MPX.
    constexpr struct {
        kind which;
        double floor;
    } floors[] = {
        {kind::general, 0.99}, {kind::x87, 0.95}, {kind::mmx_sse, 0.999}, {kind::avx, 0.999}};
    bool enough = true;
    for (const auto& [which, floor] : floors)
        if (of(which).rate() < floor) {
            printf("%s: less than %.1f %% accepted\n", name_of(which), 100 * floor);
            enough = false;
        }
    return enough;
}

} // namespace decoder_test
