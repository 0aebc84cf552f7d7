// SPDX-License-Identifier: MIT
#include "tool/symbols/symbols.hpp"

#include <algorithm>
#include <cstdlib>
#include <cxxabi.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fmt/format.h>
#include <gelf.h>
#include <iterator>
#include <string_view>

#include "nmisafe/trace_descriptor/descriptor.hpp"

namespace nmisafe::tool {

namespace {

constexpr std::size_t most_known = 1 << 18; // addresses; then all are forgotten
constexpr const char* kernel_image = "kernel";

char* no_debuginfo_path = nullptr;

// Nothing is fetched or looked for elsewhere: the file itself has its symbols and lines, or nobody has.
int find_no_debuginfo(Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, const char*,
                      GElf_Word, char**) {
    return -1;
}

constexpr Dwfl_Callbacks callbacks{.find_elf = nullptr,
                                   .find_debuginfo = find_no_debuginfo,
                                   .section_address = dwfl_offline_section_address,
                                   .debuginfo_path = &no_debuginfo_path};

} // namespace

std::string demangle(const char* name) {
    int status = 0;
    char* const found = abi::__cxa_demangle(name, nullptr, nullptr, &status);
    std::string made = status == 0 ? found : name;
    std::free(found);
    return made;
}

class symbols::file {
  public:
    explicit file(const std::filesystem::path& path) : all_(dwfl_begin(&callbacks)) {
        if (all_ == nullptr) {
            return;
        }
        module_ = dwfl_report_offline(all_, "code", path.c_str(), -1);
        dwfl_report_end(all_, nullptr, nullptr);
        if (module_ != nullptr) {
            find_sections();
            find_units();
        }
    }
    ~file() {
        if (all_ != nullptr) {
            dwfl_end(all_);
        }
    }
    file(const file&) = delete;
    file& operator=(const file&) = delete;

    bool is_good() const { return module_ != nullptr; }

    // `address`: of the file, or, with a section's name, in the section.
    place_in_code find(const std::string& section, std::uint64_t address) const {
        place_in_code found;
        if (!section.empty()) {
            const std::uint64_t* const begin = begin_of(section);
            if (begin == nullptr) {
                return found;
            }
            address += *begin;
        }
        address += bias_;
        GElf_Off offset = 0;
        GElf_Sym symbol{};
        const char* const name =
            dwfl_module_addrinfo(module_, address, &offset, &symbol, nullptr, nullptr, nullptr);
        if (name != nullptr && (symbol.st_size == 0 || offset < symbol.st_size)) {
            found.function = demangle(name);
            found.offset = offset;
        }
        find_line(address, found);
        return found;
    }

  private:
    // A name that was cut is the one that begins with it, if it is the only one.
    const std::uint64_t* begin_of(const std::string& section) const {
        auto at = sections_.lower_bound(section);
        if (at == sections_.end() || !at->first.starts_with(section)) {
            return nullptr;
        }
        const std::uint64_t* const begin = &at->second;
        constexpr std::size_t room = sizeof(trace_descriptor::code_image::section) - 1;
        const bool is_cut = at->first != section;
        ++at;
        const bool is_only = at == sections_.end() || !at->first.starts_with(section);
        return !is_cut || (section.size() == room && is_only) ? begin : nullptr;
    }

    // Which compilation units have which addresses: clang writes no table of that (.debug_aranges), which
    // dwfl_module_getsrc() needs.
    struct unit {
        std::uint64_t begin;
        std::uint64_t end;
        Dwarf_Die* die;
        std::uint64_t bias;
    };

    void find_units() {
        Dwarf_Addr bias = 0;
        for (Dwarf_Die* one = dwfl_module_nextcu(module_, nullptr, &bias); one != nullptr;
             one = dwfl_module_nextcu(module_, one, &bias)) {
            Dwarf_Addr base = 0;
            Dwarf_Addr begin = 0;
            Dwarf_Addr end = 0;
            std::ptrdiff_t next = 0;
            while ((next = dwarf_ranges(one, next, &base, &begin, &end)) > 0) {
                units_.push_back({begin + bias, end + bias, one, bias});
            }
        }
        std::sort(units_.begin(), units_.end(),
                  [](const unit& one, const unit& other) { return one.begin < other.begin; });
    }

    void find_line(std::uint64_t address, place_in_code& to) const {
        auto at = std::upper_bound(
            units_.begin(), units_.end(), address,
            [](std::uint64_t one, const unit& other) { return one < other.begin; });
        if (at == units_.begin() || address >= (--at)->end) {
            return;
        }
        if (Dwarf_Line* const line = dwarf_getsrc_die(at->die, address - at->bias);
            line != nullptr) {
            const char* const source = dwarf_linesrc(line, nullptr, nullptr);
            to.file = source != nullptr ? source : "";
            dwarf_lineno(line, &to.line);
        }
    }

    // Of a module's file, whose sections have no addresses of their own: those that libdwfl has given them.
    void find_sections() {
        Elf* const elf = dwfl_module_getelf(module_, &bias_);
        std::size_t names = 0;
        if (elf == nullptr || elf_getshdrstrndx(elf, &names) != 0) {
            return;
        }
        for (Elf_Scn* at = elf_nextscn(elf, nullptr); at != nullptr; at = elf_nextscn(elf, at)) {
            GElf_Shdr header;
            if (gelf_getshdr(at, &header) == nullptr || (header.sh_flags & SHF_ALLOC) == 0) {
                continue;
            }
            if (const char* const name = elf_strptr(elf, names, header.sh_name); name != nullptr) {
                sections_.emplace(name, header.sh_addr);
            }
        }
    }

    Dwfl* all_ = nullptr;
    Dwfl_Module* module_ = nullptr;
    GElf_Addr bias_ = 0; // of libdwfl's addresses, if the file may be loaded anywhere
    std::map<std::string, std::uint64_t> sections_;
    std::vector<unit> units_; // by their beginnings
};

symbols::symbols(const trace_description& about, const symbol_options& options)
    : about_(about), options_(options) {}

symbols::~symbols() = default;

const code_image* symbols::image_at(std::uint64_t address, std::uint64_t time) const {
    const code_image* found = nullptr;
    for (const code_image& one : about_.images) {
        if (address - one.begin >= one.size) {
            continue;
        }
        found = &one;
        if (one.loaded <= time && (one.unloaded == 0 || time < one.unloaded)) {
            break; // else one that was there at another time is better than none
        }
    }
    return found;
}

bool symbols::is_code(std::uint64_t address, std::uint64_t time) const {
    return image_at(address, time) != nullptr;
}

symbols::file* symbols::file_of(const code_image& image) {
    const auto known = files_.find(image.file);
    if (known != files_.end()) {
        return known->second.get();
    }
    const std::filesystem::path kernel =
        options_.kernel.empty() ? std::filesystem::path(about_.kernel) : options_.kernel;
    std::vector<std::filesystem::path> tried;
    if (image.file == kernel_image) {
        tried.push_back(kernel);
    } else {
        std::vector<std::filesystem::path> folders = options_.folders;
        folders.push_back(kernel.parent_path());
        folders.push_back(kernel.parent_path() / "modules");
        const std::string name = std::filesystem::path(image.file).filename().string();
        for (const std::filesystem::path& folder : folders) {
            for (const std::string& one :
                 {name, name + ".o", name + ".ko", kernel.filename().string() + "-" + name + ".o",
                  kernel.stem().string() + "-" + name + ".o"}) {
                tried.push_back(folder / one);
            }
        }
    }
    std::unique_ptr<file>& made = files_[image.file];
    std::error_code error;
    for (const std::filesystem::path& one : tried) {
        if (!std::filesystem::is_regular_file(one, error)) {
            continue;
        }
        made = std::make_unique<file>(one);
        if (made->is_good()) {
            return made.get();
        }
        made.reset();
    }
    missing_.push_back(
        image.file == kernel_image
            ? fmt::format("the kernel's ELF file is not at {}: its addresses have no names "
                          "(--kernel says where it is)",
                          kernel.empty() ? "a known place" : kernel.string())
            : fmt::format("no ELF file of module {}: its addresses have no names (--symbols "
                          "says in which folder it is)",
                          image.file));
    return nullptr;
}

place_in_code symbols::look_up(const code_image& image, std::uint64_t address) {
    const file* const from = file_of(image);
    return from != nullptr ? from->find(image.section, address - image.begin + image.linked)
                           : place_in_code();
}

const place_in_code& symbols::find(std::uint64_t address, std::uint64_t time) {
    static const place_in_code nothing;
    const code_image* const image = image_at(address, time);
    if (image == nullptr) {
        return nothing;
    }
    const auto known = known_.find({image, address});
    if (known != known_.end()) {
        return known->second;
    }
    if (known_.size() == most_known) {
        known_.clear();
    }
    return known_.emplace(key{image, address}, look_up(*image, address)).first->second;
}

bool symbols::append_name(std::string& to, std::uint64_t address, std::uint64_t time, role as) {
    const unsigned back = as == role::caller ? 1 : 0;
    const place_in_code& found = find(address - back, time);
    if (found.function.empty()) {
        return false;
    }
    fmt::format_to(std::back_inserter(to), "{}+{:#x}", found.function, found.offset + back);
    if (!found.file.empty()) {
        const std::string_view source =
            std::string_view(found.file).substr(found.file.find_last_of('/') + 1); // npos + 1 is 0
        fmt::format_to(std::back_inserter(to), " at {}:{}", source, found.line);
    }
    return true;
}

std::string symbols::name(std::uint64_t address, std::uint64_t time, role as) {
    std::string text;
    return append_name(text, address, time, as) ? text : fmt::format("{:#x}", address);
}

} // namespace nmisafe::tool
