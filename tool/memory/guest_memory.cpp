// SPDX-License-Identifier: MIT
#include "tool/memory/guest_memory.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace nmisafe::tool {

namespace {

constexpr std::size_t alignment = 64;
constexpr std::uint64_t gib = std::uint64_t{1} << 30;

} // namespace

aligned_bytes::aligned_bytes(std::size_t size) : size_(size) {
    // calloc() of much memory gives pages that are there only when they are written to.
    void* const raw = std::calloc(1, size + alignment);
    if (raw == nullptr) {
        throw std::bad_alloc();
    }
    const std::size_t skip =
        (alignment - reinterpret_cast<std::uintptr_t>(raw) % alignment) % alignment;
    raw_.reset(static_cast<std::uint8_t*>(raw));
    begin_ = raw_.get() + skip;
}

void guest_memory::add(std::uint64_t physical, std::span<const std::uint8_t> bytes) {
    const std::uint64_t room = ~physical; // the last address itself is in no piece
    if (room < bytes.size()) {
        bytes = bytes.first(room);
    }
    if (!bytes.empty()) {
        pieces_.push_back({physical, bytes});
    }
}

const memory_piece* guest_memory::piece_at(std::uint64_t physical) const {
    for (const memory_piece& one : pieces_) {
        if (physical >= one.physical && physical - one.physical < one.bytes.size()) {
            return &one;
        }
    }
    return nullptr;
}

const std::uint8_t* guest_memory::find(std::uint64_t physical, std::uint64_t size) const {
    const memory_piece* const piece = piece_at(physical);
    if (piece == nullptr || piece->bytes.size() - (physical - piece->physical) < size) {
        return nullptr;
    }
    return piece->bytes.data() + (physical - piece->physical);
}

std::uint64_t guest_memory::available(std::uint64_t physical, std::uint64_t size) const {
    std::uint64_t done = 0;
    while (done < size && physical + done >= physical) {
        const memory_piece* const piece = piece_at(physical + done);
        if (piece == nullptr) {
            break;
        }
        done += std::min(size - done, piece->bytes.size() - (physical + done - piece->physical));
    }
    return done;
}

std::uint64_t guest_memory::read(std::uint64_t physical, std::span<std::uint8_t> to) const {
    const std::uint64_t size = available(physical, to.size());
    for (std::uint64_t done = 0; done < size;) {
        const memory_piece& piece = *piece_at(physical + done);
        const std::uint64_t from = physical + done - piece.physical;
        const std::uint64_t part = std::min(size - done, piece.bytes.size() - from);
        std::memcpy(to.data() + done, piece.bytes.data() + from, part);
        done += part;
    }
    return size;
}

std::uint64_t size_below_4_gib(std::string_view machine, std::uint64_t ram_size) {
    std::uint64_t most = 2 * gib; // q35, if there is more than it leaves below
    std::uint64_t limit = 2 * gib + 3 * gib / 4;
    if (machine.starts_with("pc") && !machine.starts_with("pc-q35")) {
        most = 3 * gib;
        limit = 3 * gib + gib / 2;
    } else if (machine.starts_with("microvm")) {
        most = limit = 3 * gib;
    }
    return ram_size >= limit ? most : ram_size;
}

guest_memory lay_out_ram(std::span<const std::uint8_t> ram, std::uint64_t below_4_gib) {
    guest_memory made;
    const std::size_t low = std::min<std::uint64_t>(below_4_gib, ram.size());
    made.add(0, ram.first(low));
    made.add(4 * gib, ram.subspan(low));
    return made;
}

} // namespace nmisafe::tool
