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

/// Near branches with 66 and without REX.W in 64-bit mode: Intel ignores the prefix, AMD does not.
bool is_vendor_branch(const ZydisDecodedInstruction& theirs) {
    return theirs.machine_mode == ZYDIS_MACHINE_MODE_LONG_64 &&
           (theirs.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) != 0 && theirs.raw.rex.W == 0 &&
           (theirs.meta.branch_type == ZYDIS_BRANCH_TYPE_SHORT ||
            theirs.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR ||
            theirs.mnemonic == ZYDIS_MNEMONIC_XBEGIN);
}

/// Knights Corner's own instructions. Three of its mask instructions AVX-512 has too.
bool is_left_out(const ZydisDecodedInstruction& theirs) {
    switch (theirs.mnemonic) {
    case ZYDIS_MNEMONIC_KMOV:
    case ZYDIS_MNEMONIC_KNOT:
    case ZYDIS_MNEMONIC_KORTEST:
        return false;
    default:
        return theirs.meta.isa_ext == ZYDIS_ISA_EXT_KNC ||
               theirs.meta.isa_ext == ZYDIS_ISA_EXT_KNCE ||
               theirs.meta.isa_ext == ZYDIS_ISA_EXT_KNCV;
    }
}

bool is_other(const ZydisDecodedInstruction& theirs) {
    switch (theirs.meta.isa_ext) {
    case ZYDIS_ISA_EXT_AMD3DNOW:
    case ZYDIS_ISA_EXT_AMD_INVLPGB:
    case ZYDIS_ISA_EXT_AMX_BF16:
    case ZYDIS_ISA_EXT_AMX_INT8:
    case ZYDIS_ISA_EXT_AMX_TILE:
    case ZYDIS_ISA_EXT_AVX2GATHER:
    case ZYDIS_ISA_EXT_FMA4:
    case ZYDIS_ISA_EXT_HRESET:
    case ZYDIS_ISA_EXT_KEYLOCKER:
    case ZYDIS_ISA_EXT_KEYLOCKER_WIDE:
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

/// Where the decoder may accept what is #UD: by what it says in instruction.hpp.
bool is_loose(const instruction& ours) {
    if (ours.form == encoding::evex || ours.form == encoding::xop || ours.form == encoding::rex2)
        return true;
    if (ours.form == encoding::vex) {
        const bool mask =
            ours.map == opcode_map::map_0f
                ? ours.opcode < 0x4c || (ours.opcode >= 0x90 && ours.opcode <= 0x99)
                : ours.map == opcode_map::map_0f3a && ours.opcode >= 0x30 && ours.opcode <= 0x33;
        const bool gather =
            ours.map == opcode_map::map_0f38 && ours.opcode >= 0x90 && ours.opcode <= 0x93;
        const bool tile = ours.map == opcode_map::map_0f38 &&
                          (ours.opcode == 0x49 || ours.opcode == 0x4b || ours.opcode == 0x5c ||
                           ours.opcode == 0x5e || ours.opcode == 0x6c);
        return mask || gather || tile || ours.map == opcode_map::map_7;
    }
    // lkgs, eretu, urdmsr, aor and the like, which Zydis does not know, and LLVM not with 66 or 67
    // too; MPX, which are NOPs where it is not.
    constexpr uint8_t repeats = prefix::repeat | prefix::repeat_not_equal;
    if (ours.map == opcode_map::map_0f)
        return (ours.opcode <= 0x01 && (ours.prefixes & repeats) != 0) || ours.opcode == 0x1a ||
               ours.opcode == 0x1b;
    return ours.map == opcode_map::map_0f38 &&
           ((ours.opcode == 0xf8 && ours.mod() == 3) || ours.opcode == 0xfc);
}

/// LLVM 19's disassembler takes mod 0 with base 5 and B4 for the base r21 or r29 (its assembler
/// does not use that, and gives them a displacement of 1 byte). As with r13 there is no base, and a
/// displacement of 4 bytes: the three bits decide alone, in binutils too.
/// [intel/vol2 table 2-3, intel/apx 3.1.2]
bool has_base_misread(const instruction& ours, const uint8_t* bytes) {
    const bool has_b4 = ours.form == encoding::evex   ? (bytes[ours.opcode_offset - 3] & 0x08) != 0
                        : ours.form == encoding::rex2 ? (bytes[ours.opcode_offset - 1] & 0x10) != 0
                                                      : false;
    return has_b4 && ours.sib_offset != 0 && ours.mod() == 0 && (bytes[ours.sib_offset] & 7) == 5;
}

uint32_t key_of(const instruction& ours) {
    return static_cast<uint32_t>(ours.form) << 16 | static_cast<uint32_t>(ours.map) << 8 |
           ours.opcode;
}

/// Rows of opcodes, and JMPABS with W, that are #UD behind a REX2. LLVM 19 takes them for what they
/// are behind a REX. [intel/apx 3.1.1, JMPABS]
bool is_undefined_with_rex2(uint8_t payload, uint8_t opcode) {
    const unsigned row = opcode >> 4;
    if ((payload & 0x80) != 0)
        return row == 3 || row == 8 || opcode == 0x0e || opcode == 0x0f;
    if (opcode == 0xa1)
        return (payload & 8) != 0;
    return row == 4 || row == 7 || row == 0xa || row == 0xe || opcode == 0x0f;
}

/// Whether what the decoder refuses is of an encoding that Zydis does not know all of.
bool has_newer_encoding(const uint8_t* bytes, size_t available, width mode) {
    size_t at = 0;
    while (at < available && (bytes[at] == 0x2e || bytes[at] == 0x64 || bytes[at] == 0x67))
        ++at;
    if (mode != width::bits_64 || at + 2 >= available)
        return false;
    if (bytes[at] == 0xd5)
        return !is_undefined_with_rex2(bytes[at + 1], bytes[at + 2]);
    return bytes[at] == 0x62 || bytes[at] == 0xc4 || bytes[at] == 0xc5;
}

kind kind_of(const ZydisDecodedInstruction& theirs) {
    if (is_vendor_branch(theirs))
        return kind::vendor_branch;
    if (theirs.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ||
        theirs.meta.isa_ext == ZYDIS_ISA_EXT_AVX512VEX)
        return kind::avx_512;
    if (is_other(theirs))
        return kind::other;
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

} // namespace

const char* name_of(kind which) {
    constexpr const char* names[kinds] = {"general",   "x87",           "MMX and SSE",
                                          "AVX",       "AVX-512",       "other",
                                          "LLVM only", "vendor branch", "left out"};
    return names[static_cast<int>(which)];
}

oracle::oracle(width mode) : mode_(mode), llvm_(mode) {
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
    bool valid =
        ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder_, nullptr, bytes, available, &theirs));
    if (valid && is_left_out(theirs)) {
        ++kinds_[static_cast<int>(kind::left_out)].valid;
        valid = false; // or the other one's: APX has given a bit of that EVEX another meaning
    }
    if (valid) {
        const kind which = kind_of(theirs);
        tally& by_kind = kinds_[static_cast<int>(which)];
        ++by_kind.valid;
        by_kind.accepted += ours.has_value();
        if (which != kind::vendor_branch) {
            ++mnemonics_[theirs.mnemonic].valid;
            mnemonics_[theirs.mnemonic].accepted += ours.has_value();
        }
    }
    if (ours.has_value()) {
        if (valid)
            compare(*ours, theirs, bytes);
        if (valid && ours->form == encoding::legacy)
            known_opcodes_.insert(key_of(*ours));
        else
            check_second(*ours, bytes, available, valid);
        check_accepted(*ours, bytes);
    } else if (valid && (ours.error() == decode_error::truncated ||
                         ours.error() == decode_error::too_long)) {
        differ("said to go on beyond its end", bytes, available);
    } else if (!valid) {
        check_refused(ours.error(), bytes, available);
    }
    return valid ? theirs.length : 0;
}

void oracle::check_second(const instruction& ours, const uint8_t* bytes, size_t available,
                          bool known_to_zydis) {
    const unsigned length = has_base_misread(ours, bytes) ? 0 : llvm_.length(bytes, available);
    if (length != 0 && length != ours.length) {
        differ("length " + std::to_string(ours.length) + ", LLVM " + std::to_string(length) + " (" +
                   llvm_.text() + ")",
               bytes, available);
        return;
    }
    if (!known_to_zydis && length != 0) {
        tally& second = kinds_[static_cast<int>(kind::second)];
        ++second.valid;
        ++second.accepted;
    }
    if (known_to_zydis || length != 0)
        known_opcodes_.insert(key_of(ours));
    else if (!is_loose(ours))
        differ("accepted, and Zydis and LLVM refuse it", bytes, available);
    else {
        ++loose_;
        loose_opcodes_.insert(key_of(ours));
    }
}

void oracle::check_refused(decode_error why, const uint8_t* bytes, size_t available) {
    if (!has_newer_encoding(bytes, available, mode_) || llvm_.length(bytes, available) == 0)
        return;
    ++kinds_[static_cast<int>(kind::second)].valid;
    if (why != decode_error::truncated && why != decode_error::too_long)
        return;
    // It takes some that are cut off in the displacement for others without: so it is given more.
    uint8_t padded[maximum_instruction_length] = {};
    memcpy(padded, bytes, available < sizeof padded ? available : sizeof padded);
    const unsigned length = llvm_.length(padded, sizeof padded);
    const bool is_misread = strstr(llvm_.text(), "(%r21") != nullptr ||
                            strstr(llvm_.text(), "(%r29") != nullptr; // has_base_misread()
    if (length != 0 && length <= available && !is_misread)
        differ(std::string("said to go on beyond its end (LLVM:") + llvm_.text() + ")", bytes,
               available);
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

std::set<std::string> oracle::unknown_opcodes() const {
    std::set<std::string> names;
    for (const uint32_t key : loose_opcodes_)
        // A REX2 names more registers of an instruction, and changes nothing else.
        if (known_opcodes_.count(key) == 0 && (key >> 16 != static_cast<uint32_t>(encoding::rex2) ||
                                               known_opcodes_.count(key & 0xffff) == 0)) {
            char name[64];
            snprintf(name, sizeof name, "encoding %u, map %u, opcode %02x", key >> 16,
                     key >> 8 & 0xff, key & 0xff);
            names.insert(name);
        }
    return names;
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
    printf("  accepted, though #UD to both: %" PRIu64 "\n", loose_);
}

bool oracle::accepts_enough() const {
    // What is missing: aliases of x87 instructions; ud0; prefixes that change nothing on 0f 01,
    // where vendors keep putting new instructions; the nops 0f 1a and 0f 1b, which are MPX.
    constexpr struct {
        kind which;
        double floor;
    } floors[] = {{kind::general, 0.99}, {kind::x87, 0.95},    {kind::mmx_sse, 0.999},
                  {kind::avx, 0.999},    {kind::other, 0.999}, {kind::avx_512, 0.999},
                  {kind::second, 0.9}};
    bool enough = true;
    for (const auto& [which, floor] : floors)
        if (of(which).rate() < floor) {
            printf("%s: less than %.1f %% accepted\n", name_of(which), 100 * floor);
            enough = false;
        }
    return enough;
}

} // namespace decoder_test
