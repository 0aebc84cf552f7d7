// SPDX-License-Identifier: MIT
#include "tool/memory/memory_image.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/trace/description.hpp"

namespace nmisafe::tool {

namespace {

using image_bytes = std::span<const std::uint8_t>;

// Into `to`; false: it lies not in the file.
template <typename T>
bool read_at(image_bytes image, std::uint64_t offset, T& to) {
    if (offset > image.size() || image.size() - offset < sizeof to) {
        return false;
    }
    std::memcpy(&to, image.data() + offset, sizeof to);
    return true;
}

bool begins_with(image_bytes image, std::string_view text) {
    return image.size() >= text.size() && std::memcmp(image.data(), text.data(), text.size()) == 0;
}

void add_segment(image_layout& to, image_bytes image, std::uint64_t physical, std::uint64_t offset,
                 std::uint64_t size) {
    const std::uint64_t begin = std::min<std::uint64_t>(offset, image.size());
    const std::uint64_t there = std::min<std::uint64_t>(size, image.size() - begin);
    if (there < size) {
        to.problems.push_back(fmt::format("the file ends {} bytes before the memory at {:#x} does",
                                          size - there, physical));
    }
    to.memory.add(physical, image.subspan(begin, there));
}

// With more segments than its 16 bits count, the file's header says 0xffff, and the first section's
// `sh_info` how many. [elf]
template <typename Header, typename Segment, typename Section>
image_layout read_elf(image_bytes image) {
    Header header;
    if (!read_at(image, 0, header)) {
        throw trace_error("the ELF header is cut off");
    }
    if (header.e_type != ET_CORE) {
        throw trace_error("it is an ELF file, but no core: this is for memory, not for programs");
    }
    if (header.e_phentsize != sizeof(Segment)) {
        throw trace_error("its ELF header is damaged");
    }
    std::uint64_t count = header.e_phnum;
    Section first;
    if (count == PN_XNUM && read_at(image, header.e_shoff, first)) {
        count = first.sh_info;
    }
    image_layout made;
    made.kind = "ELF core";
    for (std::uint64_t i = 0; i < count; ++i) {
        Segment segment;
        if (!read_at(image, header.e_phoff + i * sizeof segment, segment)) {
            made.problems.push_back(
                fmt::format("{} of its {} segments are missing", count - i, count));
            break;
        }
        if (segment.p_type == PT_LOAD) {
            add_segment(made, image, segment.p_paddr, segment.p_offset, segment.p_filesz);
        }
    }
    if (made.memory.pieces().empty()) {
        throw trace_error("there is no memory in this ELF core");
    }
    return made;
}

// What has memory in it, but packed.
void refuse_others(image_bytes image) {
    if (begins_with(image, "KDUMP   ") || begins_with(image, "makedumpfile")) {
        throw trace_error(
            "it is in kdump's compressed format: dump-guest-memory without -z, -l, -s (or -R) "
            "writes an ELF core, which can be read");
    }
    if (begins_with(image, "PAGEDU")) {
        throw trace_error(
            "it is a Windows crash dump: dump-guest-memory without -w writes an ELF core, which "
            "can be read");
    }
    if (begins_with(image, "QFI\xfb")) {
        throw trace_error("it is a qcow2 disk image, not memory");
    }
    if (begins_with(image, "QEVM")) {
        throw trace_error(
            "it is a machine's saved state: load it, then pmemsave or dump-guest-memory writes "
            "its memory");
    }
    if (begins_with(image, "EMiL")) {
        throw trace_error("it is in LiME's format, which cannot be read: an ELF core can");
    }
}

} // namespace

image_layout read_layout(image_bytes image, std::uint64_t base) {
    if (begins_with(image, ELFMAG)) {
        const std::uint8_t width =
            image.size() > EI_CLASS ? image[EI_CLASS] : std::uint8_t{ELFCLASSNONE};
        if (width == ELFCLASS64) {
            return read_elf<Elf64_Ehdr, Elf64_Phdr, Elf64_Shdr>(image);
        }
        if (width == ELFCLASS32) {
            return read_elf<Elf32_Ehdr, Elf32_Phdr, Elf32_Shdr>(image);
        }
        throw trace_error("its ELF header is damaged");
    }
    refuse_others(image);
    if (image.empty()) {
        throw trace_error("it is empty");
    }
    image_layout made;
    made.kind = "raw memory";
    made.memory.add(base, image);
    return made;
}

memory_image::memory_image(const std::filesystem::path& file) {
    const auto fail = [&](int descriptor) {
        const std::string why = fmt::format("{}: {}", file.string(), std::strerror(errno));
        if (descriptor >= 0) {
            ::close(descriptor);
        }
        throw trace_error(why);
    };
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (descriptor < 0 || ::fstat(descriptor, &status) != 0) {
        fail(descriptor);
    }
    if (!S_ISREG(status.st_mode)) {
        ::close(descriptor);
        throw trace_error(fmt::format("{}: it is no regular file", file.string()));
    }
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size != 0) {
        void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (mapped == MAP_FAILED) {
            fail(descriptor);
        }
        bytes_ = {static_cast<const std::uint8_t*>(mapped), size};
    }
    ::close(descriptor);
}

memory_image::~memory_image() {
    if (!bytes_.empty()) {
        ::munmap(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size());
    }
}

} // namespace nmisafe::tool
