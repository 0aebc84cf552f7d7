// SPDX-License-Identifier: MIT
// Which instructions take no kprobe, by Zydis' names, from every opcode of every map with every
// ModRM, against the two lists in kprobe's README: those of which no form is taken, and those of
// which some are not.
//
//   test_kprobe.refusals README
#include "nmisafe/kprobe/internal/step.hpp"

#include <Zydis/Zydis.h>
#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

using nmisafe::x86::width;

namespace {

using names = std::set<std::string>;

struct forms {
    unsigned taken = 0;
    unsigned refused = 0;
};

/// Of what Zydis does not know, or takes for another. nullptr: none of these.
const char* younger_name(const nmisafe::x86::instruction& what) {
    using nmisafe::x86::opcode_map;
    constexpr struct {
        uint8_t modrm;
        const char *f3, *f2, *none;
    } of_0f_01[] = {{0xc6, "wrmsrlist", "rdmsrlist", "wrmsrns"},
                    {0xc7, nullptr, nullptr, "pbndkb"},
                    {0xca, "eretu", "erets", nullptr},
                    {0xd9, "vmgexit", "vmgexit", nullptr},
                    {0xfd, "rmpquery", "rmpread", nullptr},
                    {0xfe, "rmpadjust", "rmpupdate", nullptr}, // not in 32-bit mode to Zydis
                    {0xff, "psmash", "pvalidate", nullptr}};
    const bool f3 = what.has(nmisafe::x86::prefix::repeat);
    const bool f2 = what.has(nmisafe::x86::prefix::repeat_not_equal);
    if (what.map == opcode_map::map_0f && what.opcode == 0x01)
        for (const auto& one : of_0f_01)
            if (one.modrm == what.modrm)
                return f3 ? one.f3 : f2 ? one.f2 : one.none;
    if (what.map == opcode_map::map_0f && what.opcode == 0x00 && what.reg() == 6)
        return f2 ? "lkgs" : nullptr;
    if (what.map == opcode_map::map_7 && what.opcode == 0xf8) // by an immediate
        return "urdmsr";
    if (what.map == opcode_map::map_0f38 && what.opcode == 0xf8 && what.mod() == 3)
        return f3 ? "uwrmsr" : f2 ? "urdmsr" : nullptr;
    return nullptr;
}

class sweep {
  public:
    explicit sweep(width mode) : mode_(mode) {
        if (mode == width::bits_64)
            ZydisDecoderInit(&zydis_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
        else
            ZydisDecoderInit(&zydis_, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    }

    /// `front`, an opcode and a ModRM, then operands.
    void all_of(const std::string& front, std::map<std::string, forms>& found) {
        std::array<uint8_t, 16> bytes{};
        std::copy(front.begin(), front.end(), bytes.begin());
        for (unsigned opcode = 0; opcode < 256; ++opcode)
            for (unsigned modrm = 0; modrm < 256; ++modrm) {
                bytes[front.size()] = static_cast<uint8_t>(opcode);
                bytes[front.size() + 1] = static_cast<uint8_t>(modrm);
                note(bytes, found);
            }
    }

  private:
    void note(const std::array<uint8_t, 16>& bytes, std::map<std::string, forms>& found) {
        const auto what = nmisafe::x86::decode(bytes.data(), bytes.size(), mode_);
        if (!what)
            return;
        const bool is_taken =
            nmisafe::kprobe::internal::make_plan(bytes.data(), *what, 0x1000, 0).has_value();
        const char* name = younger_name(*what);
        ZydisDecodedInstruction theirs;
        if (name == nullptr && ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
                                   &zydis_, nullptr, bytes.data(), bytes.size(), &theirs)))
            name = ZydisMnemonicGetString(theirs.mnemonic);
        if (name == nullptr && is_taken)
            return;
        forms& mine = found[name == nullptr ? "(without a name)" : name];
        ++(is_taken ? mine.taken : mine.refused);
    }

    width mode_;
    ZydisDecoder zydis_;
};

/// What stands in backquotes in the paragraph that begins so.
names listed(const std::string& file, const std::string& beginning) {
    std::ifstream input(file);
    names found;
    bool inside = false;
    for (std::string line; std::getline(input, line);) {
        inside = (inside && !line.empty()) || line.rfind(beginning, 0) == 0;
        for (size_t at = 0; inside && (at = line.find('`', at)) != std::string::npos;) {
            const size_t end = line.find('`', at + 1);
            std::istringstream words(line.substr(at + 1, end - at - 1));
            for (std::string word; words >> word;)
                found.insert(word);
            at = end == std::string::npos ? end : end + 1;
        }
    }
    return found;
}

bool is_same(const char* what, const names& derived, const names& written) {
    for (const std::string& name : derived)
        if (written.count(name) == 0)
            printf("%s, and not in the list: %s\n", what, name.c_str());
    for (const std::string& name : written)
        if (derived.count(name) == 0)
            printf("in the list, but not so (%s): %s\n", what, name.c_str());
    return derived == written && !derived.empty();
}

} // namespace

int main(int count, char** arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: %s README\n", arguments[0]);
        return 2;
    }
    std::map<std::string, forms> found;
    for (const width mode : {width::bits_32, width::bits_64}) {
        sweep all(mode);
        for (const char* prefixes : {"", "\x66", "\xf3", "\xf2"})
            for (const char* rex : {"", "\x48"})
                if (mode == width::bits_64 || *rex == '\0')
                    for (const char* map : {"", "\x0f", "\x0f\x38", "\x0f\x3a"})
                        all.all_of(std::string(prefixes) + rex + map, found);
        // Without vvvv, of each length and W: what neither changes the flow nor is of the system is
        // taken, so a share of them is enough.
        for (const char* front : {"\xc5\xf8", "\xc5\xfa", "\xc4\xe1\x78", "\xc4\xe2\x78",
                                  "\xc4\xe2\xfb", "\xc4\xe7\x7b", "\xc4\xe7\x7a"})
            all.all_of(front, found);
    }
    names never, partly;
    for (const auto& [name, mine] : found)
        if (mine.refused != 0)
            (mine.taken == 0 ? never : partly).insert(name);
    const bool is_never = is_same("never taken", never, listed(arguments[1], "**Never:**"));
    const bool is_partly = is_same("taken in part", partly, listed(arguments[1], "**In part:**"));
    printf("instructions %zu, never taken %zu, taken in part %zu\n", found.size(), never.size(),
           partly.size());
    return is_never && is_partly ? 0 : 1;
}
