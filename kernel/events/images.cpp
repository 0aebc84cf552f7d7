// SPDX-License-Identifier: MIT
#include "kernel/events/images.hpp"

#include "kernel/common/spinlock.hpp"
#include "kernel/cpu/per_cpu.hpp"
#include "kernel/events/clock.hpp"
#include "kernel/events/descriptor.hpp"

namespace kernel {

namespace {

using namespace nmisafe;

spinlock images_lock; // modules come and go on several CPUs

/// As much as has room; the rest is 0 already.
template <size_t Room>
void copy_name(char (&to)[Room], const char* from) {
    for (size_t i = 0; i + 1 < Room && from[i] != 0; ++i)
        to[i] = from[i];
}

} // namespace

void add_images(traced_images& to, const module_loader::loaded_module& which) {
    to.count = 0;
    if (!is_traced())
        return;
    const locked hold(images_lock);
    for (uint32_t i = 0; i < which.section_count() && to.count < traced_images::most; ++i) {
        const auto section = which.section_at(i);
        if (section.bytes.begin - which.code().begin >= which.code().end - which.code().begin)
            continue;
        trace_descriptor::code_image image;
        image.begin = section.bytes.begin;
        image.size = section.bytes.end - section.bytes.begin;
        image.loaded = trace_time();
        copy_name(image.file, which.name());
        copy_name(image.section, section.name);
        const int32_t number = trace_descriptor::add_image(*trace_in_memory, image);
        if (number >= 0)
            to.numbers[to.count++] = number;
    }
}

void images_are_gone(traced_images& which) {
    if (which.count == 0)
        return;
    const locked hold(images_lock);
    const uint64_t now = trace_time();
    for (; which.count != 0; --which.count)
        trace_descriptor::note_unloaded(*trace_in_memory, which.numbers[which.count - 1], now);
}

} // namespace kernel
