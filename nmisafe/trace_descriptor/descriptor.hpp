// SPDX-License-Identifier: MIT
/// A trace in memory that describes itself: where the buffers are, what their events mean, which code the
/// addresses are in. Whoever has the memory has the trace: a host that maps a running guest's, a tool with
/// that of a dead machine. The same layout on both widths; all integers little endian.
///
///     memory: ... | descriptor: header, places, images, types | ... | buffer | ... | buffer | ...
///
/// The descriptor begins at a multiple of `descriptor_alignment` of *physical* memory, says at which, and is
/// contiguous there, as each buffer is. Whatever else begins with its magic is a copy.
#pragma once

#include "nmisafe/base/expected.hpp"
#include "nmisafe/base/std.hpp"

namespace nmisafe::trace_descriptor {

inline constexpr uint64_t descriptor_magic = 0x3154'4546'4153'4d4e; // "NMSAFET1" in memory
inline constexpr uint32_t descriptor_version = 1;
inline constexpr uint32_t descriptor_alignment = 4096;

enum class machine_state : uint32_t {
    running,
    panicked, ///< The machine has stopped, or is about to: nothing more is written.
    ended,    ///< The same, but as it should be.
};

/// A ring_buffer's block.
struct buffer_place {
    uint64_t physical;
    uint32_t size;
    uint32_t cpu;
};
static_assert(sizeof(buffer_place) == 16);

/// A piece of code: the kernel's, or a section of a module's. One that is gone stays listed as long as
/// there is room, for the events that are older.
struct code_image {
    uint64_t begin = 0; ///< Where it runs.
    uint64_t size = 0;  ///< 0: nothing here, go on with the next.
    uint64_t linked =
        0; ///< The address that its file has for `begin`: of a module, in the section.
    uint64_t loaded = 0;   ///< The trace clock when it came, ...
    uint64_t unloaded = 0; ///< ... and when it went; 0: it has not.
    char file[32] = {};    ///< Name of the kernel or of the module; ends with 0.
    char section[24] =
        {}; ///< Of the module, or as much of its name as has room; of a kernel empty.
};
static_assert(sizeof(code_image) == 96);

struct descriptor {
    // Never changes once `magic` is there.
    uint64_t magic;
    uint32_t version;
    uint32_t size;         ///< Of all of it, the tables included.
    uint64_t physical;     ///< Where it begins.
    uint64_t frequency;    ///< Of the trace clock, in Hz.
    uint64_t clock_offset; ///< The clock's units from 1970 to its 0.
    uint8_t uuid[16];
    uint32_t stream_id;
    uint32_t width;       ///< 32 or 64: how wide addresses are.
    uint32_t has_context; ///< 1: each event begins with a ctf::event_context.
    uint32_t places;      ///< Offsets of the tables, ...
    uint32_t place_capacity;
    uint32_t images;
    uint32_t image_capacity;
    uint32_t types;         ///< A ctf table.
    uint32_t type_capacity; ///< In bytes.
    char tracer_name[20];
    char system[64]; ///< What it is that is traced.

    // Only grows; stored with order release when what it counts is there.
    alignas(64) uint32_t place_count;
    uint32_t image_count;
    uint32_t type_length; ///< In bytes.
    // Set once.
    uint32_t state; ///< As machine_state.
    uint32_t unused[12];
};
static_assert(sizeof(descriptor) == 256 && offsetof(descriptor, place_count) == 192);
static_assert(offsetof(descriptor, stream_id) == 56 && offsetof(descriptor, system) == 112);

struct descriptor_parameters {
    uint64_t physical = 0; ///< Where the memory lies; for a host's own tests anything aligned.
    uint64_t frequency = 0;
    uint64_t clock_offset = 0;
    const uint8_t* uuid = nullptr; ///< 16 bytes; null: zeros.
    uint32_t stream_id = 0;
    uint32_t place_capacity = 64;
    uint32_t image_capacity = 64;
    uint32_t type_capacity = 64 << 10;
    bool has_context = true;
    const char* tracer_name = "nmisafe";
    const char* system = ""; ///< Names are cut to their room.
};

enum class descriptor_error : uint8_t {
    too_small, ///< The memory: see descriptor_size().
    unaligned, ///< It, or where it lies.
};

/// How many bytes it takes; 0: more than 2 GiB.
constexpr uint32_t descriptor_size(const descriptor_parameters& wanted) {
    const uint64_t size =
        sizeof(descriptor) + uint64_t{wanted.place_capacity} * sizeof(buffer_place) +
        uint64_t{wanted.image_capacity} * sizeof(code_image) + wanted.type_capacity;
    return size < uint64_t{1} << 31 ? static_cast<uint32_t>(size) : 0;
}

/// Nobody reads it before this returns; `magic` is stored last. @context thread
base::expected<descriptor*, descriptor_error>
create_descriptor(void* memory, size_t size, const descriptor_parameters& wanted);

/// Whether it is one, all of whose tables lie inside these bytes, and that lies where it says. For memory
/// of other machines. @context any
bool is_descriptor(const void* memory, size_t size, uint64_t physical);

/// @return false: no room; nothing has changed @context any; one at a time, as all that add
bool add_place(descriptor& to, const buffer_place& added);
/// In place of the one that went first, if there is no room. @return its number, or -1: all are still there.
int32_t add_image(descriptor& to, const code_image& added);
/// Says that the image of that number is gone; its place may be another's from now on. @context as
/// add_image()
void note_unloaded(descriptor& in, int32_t number, uint64_t when);

/// Tables; of another machine's descriptor only after is_descriptor(). @context any
inline const buffer_place* places_of(const descriptor& of) {
    return reinterpret_cast<const buffer_place*>(reinterpret_cast<const uint8_t*>(&of) + of.places);
}
inline const code_image* images_of(const descriptor& of) {
    return reinterpret_cast<const code_image*>(reinterpret_cast<const uint8_t*>(&of) + of.images);
}
inline const uint8_t* types_of(const descriptor& of) {
    return reinterpret_cast<const uint8_t*>(&of) + of.types;
}

} // namespace nmisafe::trace_descriptor
