// SPDX-License-Identifier: MIT
#include "nmisafe/trace_descriptor/descriptor.hpp"

#include "nmisafe/base/word_64.hpp"

namespace nmisafe::trace_descriptor {

namespace {

void copy_name(char* to, size_t room, const char* from) {
    for (size_t i = 0; i + 1 < room && from[i] != 0; ++i)
        to[i] = from[i];
}

uint32_t load(const uint32_t& word) {
    return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}

void publish(uint32_t& word, uint32_t value) {
    __atomic_store_n(&word, value, __ATOMIC_RELEASE);
}

bool is_inside(uint64_t offset, uint64_t bytes, uint64_t size) {
    return offset >= sizeof(descriptor) && offset % 8 == 0 && offset + bytes <= size;
}

code_image* images(descriptor& of) {
    return const_cast<code_image*>(images_of(of));
}

/// Byte by byte: clang -O0 calls memcpy() for it. The size is the last.
void write_image(code_image& to, const code_image& from) {
    to.begin = from.begin;
    constexpr size_t behind_size = offsetof(code_image, linked);
    auto* const bytes = reinterpret_cast<uint8_t*>(&to);
    const auto* const added = reinterpret_cast<const uint8_t*>(&from);
    for (size_t i = behind_size; i < sizeof to; ++i) {
        bytes[i] = added[i];
        asm volatile("" : : : "memory");
    }
    base::publish_64(to.size, from.size);
}

/// The one that went first, of those that went; -1: none has.
int32_t oldest_gone(const descriptor& of) {
    int32_t oldest = -1;
    for (uint32_t i = 0; i < of.image_count; ++i) {
        const code_image& one = images_of(of)[i];
        if (one.unloaded != 0 && (oldest < 0 || one.unloaded < images_of(of)[oldest].unloaded))
            oldest = static_cast<int32_t>(i);
    }
    return oldest;
}

} // namespace

base::expected<descriptor*, descriptor_error>
create_descriptor(void* memory, size_t size, const descriptor_parameters& wanted) {
    const uint32_t needed = descriptor_size(wanted);
    if (needed == 0 || size < needed)
        return base::unexpected(descriptor_error::too_small);
    if (reinterpret_cast<uintptr_t>(memory) % alignof(descriptor) != 0 ||
        wanted.physical % descriptor_alignment != 0)
        return base::unexpected(descriptor_error::unaligned);
    auto* const bytes = static_cast<uint8_t*>(memory);
    for (uint32_t i = 0; i < needed; ++i) {
        bytes[i] = 0;
        asm volatile("" : : "r"(bytes) : "memory"); // no call of memset() for who has none
    }
    auto& made = *static_cast<descriptor*>(memory);
    made.version = descriptor_version;
    made.size = needed;
    made.physical = wanted.physical;
    made.frequency = wanted.frequency;
    made.clock_offset = wanted.clock_offset;
    for (unsigned i = 0; wanted.uuid != nullptr && i < sizeof made.uuid; ++i)
        made.uuid[i] = wanted.uuid[i];
    made.stream_id = wanted.stream_id;
    made.width = 8 * sizeof(void*);
    made.has_context = wanted.has_context ? 1 : 0;
    made.places = sizeof(descriptor);
    made.place_capacity = wanted.place_capacity;
    made.images = made.places + wanted.place_capacity * static_cast<uint32_t>(sizeof(buffer_place));
    made.image_capacity = wanted.image_capacity;
    made.types = made.images + wanted.image_capacity * static_cast<uint32_t>(sizeof(code_image));
    made.type_capacity = wanted.type_capacity;
    copy_name(made.tracer_name, sizeof made.tracer_name, wanted.tracer_name);
    copy_name(made.system, sizeof made.system, wanted.system);
    base::publish_64(made.magic, descriptor_magic);
    return &made;
}

bool is_descriptor(const void* memory, size_t size, uint64_t physical) {
    if (size < sizeof(descriptor) || reinterpret_cast<uintptr_t>(memory) % alignof(descriptor) != 0)
        return false;
    const auto& it = *static_cast<const descriptor*>(memory);
    return base::load_64(it.magic) == descriptor_magic && it.version == descriptor_version &&
           it.physical == physical && it.size <= size && (it.width == 32 || it.width == 64) &&
           is_inside(it.places, uint64_t{it.place_capacity} * sizeof(buffer_place), it.size) &&
           is_inside(it.images, uint64_t{it.image_capacity} * sizeof(code_image), it.size) &&
           is_inside(it.types, it.type_capacity, it.size) &&
           load(it.place_count) <= it.place_capacity && load(it.image_count) <= it.image_capacity &&
           load(it.type_length) <= it.type_capacity &&
           it.tracer_name[sizeof it.tracer_name - 1] == 0 && it.system[sizeof it.system - 1] == 0;
}

bool add_place(descriptor& to, const buffer_place& added) {
    if (to.place_count == to.place_capacity)
        return false;
    const_cast<buffer_place*>(places_of(to))[to.place_count] = added;
    publish(to.place_count, to.place_count + 1);
    return true;
}

int32_t add_image(descriptor& to, const code_image& added) {
    if (to.image_count < to.image_capacity) {
        write_image(images(to)[to.image_count], added);
        publish(to.image_count, to.image_count + 1);
        return static_cast<int32_t>(to.image_count - 1);
    }
    const int32_t number = oldest_gone(to);
    if (number < 0)
        return -1;
    // Readers leave out what has no size.
    code_image& again = images(to)[number];
    base::publish_64(again.size, 0);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    write_image(again, added);
    return number;
}

void note_unloaded(descriptor& in, int32_t number, uint64_t when) {
    base::publish_64(images(in)[number].unloaded, when != 0 ? when : 1);
}

} // namespace nmisafe::trace_descriptor
