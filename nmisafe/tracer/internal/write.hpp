// SPDX-License-Identifier: MIT
// An event into the buffer of this CPU, for whoever keeps the CPU the same meanwhile.
#pragma once

#include "nmisafe/base/std.hpp"
#include "nmisafe/clock/trace_clock.hpp"
#include "nmisafe/ring_buffer/write.hpp"
#include "nmisafe/tracer/cpu.hpp"
#include "nmisafe/tracer/field.hpp"
#include "nmisafe/x86/local.hpp"

namespace nmisafe::tracer::internal {

inline constexpr uint32_t context_size = sizeof(ctf::event_context);

/// The event that each packet begins with: who was running.
struct packet_opening {
    static constexpr uint32_t event_id = 0;
    static constexpr uint32_t size = context_size + sizeof(int32_t);
    const cpu& mine;

    static constexpr uint32_t id() { return event_id; }
    void write(uint8_t* to) const {
        put(put(to, context_of(mine)), __atomic_load_n(&mine.tid, __ATOMIC_RELAXED));
    }
};

/// `write(uint8_t*)` writes the fields, in `size` bytes. @return false: the event is lost, and counted
template <typename Write>
[[NMISAFE_TRAP_INLINE]] inline bool write_event(channel into, uint32_t id, uint32_t size,
                                                const Write& write) {
    cpu& mine = platform::contract::tracer_cpu();
    ring_buffer::header* const in =
        __atomic_load_n(&mine.buffers[static_cast<unsigned>(into)], __ATOMIC_RELAXED);
    if (in == nullptr) [[unlikely]] {
        x86::increment(mine.unrecorded);
        return false;
    }
    const auto event = ring_buffer::reserve(*in, id, context_size + size,
                                            clock::trace_clock(mine.clock), packet_opening{mine});
    if (!event) [[unlikely]]
        return false;
    write(put(event.payload, context_of(mine)));
    ring_buffer::commit(*in, event);
    return true;
}

} // namespace nmisafe::tracer::internal
