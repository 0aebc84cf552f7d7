// SPDX-License-Identifier: MIT
// A machine's memory by its physical addresses: pieces of a file or a mapping, with holes between.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace nmisafe::tool {

struct memory_piece {
    std::uint64_t physical = 0;
    std::span<const std::uint8_t> bytes;
};

// Bytes that are aligned as the library's structures want them.
class aligned_bytes {
  public:
    aligned_bytes() = default;
    // Zeros, which take no memory until they are written to.
    explicit aligned_bytes(std::size_t size);

    std::uint8_t* data() const { return begin_; }
    std::size_t size() const { return size_; }

  private:
    struct free_it {
        void operator()(std::uint8_t* bytes) const { std::free(bytes); }
    };
    std::unique_ptr<std::uint8_t, free_it> raw_;
    std::uint8_t* begin_ = nullptr;
    std::size_t size_ = 0;
};

// It keeps no bytes of its own: what it was made of must stay.
class guest_memory {
  public:
    // A piece that reaches past the last address there is, is cut there.
    void add(std::uint64_t physical, std::span<const std::uint8_t> bytes);

    const std::vector<memory_piece>& pieces() const { return pieces_; }

    // All of it, contiguous here too; else null.
    const std::uint8_t* find(std::uint64_t physical, std::uint64_t size) const;
    // @return how many bytes are there before the first that is not
    std::uint64_t available(std::uint64_t physical, std::uint64_t size) const;
    // Copies as many as available() says.
    std::uint64_t read(std::uint64_t physical, std::span<std::uint8_t> to) const;

  private:
    const memory_piece* piece_at(std::uint64_t physical) const;

    std::vector<memory_piece> pieces_;
};

// Where the machine's RAM begins anew above 4 GiB: how much of it lies below, the same for QEMU's
// memory backend and for the guest. [qemu hw/i386/pc_q35.c, pc_piix.c, microvm.c]
std::uint64_t size_below_4_gib(std::string_view machine, std::uint64_t ram_size);

// The contents of a memory backend, as the guest sees them.
guest_memory lay_out_ram(std::span<const std::uint8_t> ram, std::uint64_t below_4_gib);

} // namespace nmisafe::tool
