// SPDX-License-Identifier: MIT
#include "tool/memory/salvage.hpp"

#include <algorithm>
#include <cstring>

#include "nmisafe/ring_buffer/read.hpp"
#include "tool/trace/packet.hpp"

namespace nmisafe::tool {

namespace {

using namespace ring_buffer;

constexpr std::uint64_t no_time = ~std::uint64_t{0};

// Of what layout.hpp says: where things lie.
struct block_view {
    header& in;

    std::uint32_t ring() const { return in.sub_buffer * in.slot_count; }
    const slot& slot_at(std::uint32_t position) const {
        const std::uint32_t number = position / in.sub_buffer % in.slot_count;
        return reinterpret_cast<const slot*>(bytes() + in.slots)[number];
    }
    bool has_page(const slot& of, std::uint32_t position) const {
        const std::uint32_t lap = position / ring() & in.sub_buffer_mask;
        return (of.page & in.sub_buffer_mask) == lap && (of.page & ~in.sub_buffer_mask) <= ring();
    }
    std::uint32_t page_offset(const slot& of) const { return of.page & ~in.sub_buffer_mask; }
    const page_record& record_of(const slot& of) const {
        return reinterpret_cast<const page_record*>(bytes() +
                                                    in.records)[page_offset(of) / in.sub_buffer];
    }
    const std::uint8_t* page_of(const slot& of) const {
        return bytes() + in.pages + page_offset(of);
    }
    // Whether all bytes up to there are in the image.
    bool reaches(const slot& of, std::uint32_t content, std::uint64_t available) const {
        return std::uint64_t{in.pages} + page_offset(of) + content <= available;
    }

  private:
    const std::uint8_t* bytes() const { return reinterpret_cast<const std::uint8_t*>(&in); }
};

// Of a packet that is not delivered: how many of its first bytes are committed.
std::uint32_t committed_prefix(const header& in, const slot& of, const page_record& record,
                               std::uint32_t position) {
    const std::uint32_t committed = of.committed - position;
    if (committed == in.sub_buffer) { // complete, but for the delivery itself
        return record.content;
    }
    if (in.offset - position < in.sub_buffer && in.offset == of.committed) {
        return committed;
    }
    return of.sure - position; // of an earlier lap: too large
}

} // namespace

loss_counters::loss_counters(const header& in) {
    for (unsigned i = 0; i < loss_count; ++i) {
        last_[i] = in.last_lost[i];
        total_[i] = in.total_lost[i];
    }
}

void loss_counters::go_on(const std::uint32_t (&counters)[loss_count]) {
    for (unsigned i = 0; i < loss_count; ++i) {
        total_[i] += counters[i] - last_[i];
        last_[i] = counters[i];
    }
}

void loss_counters::store(packet_header& to) const {
    to.events_discarded = 0;
    for (unsigned i = 0; i < loss_count; ++i) {
        to.lost[i] = total_[i];
        to.events_discarded += total_[i];
    }
}

packet_header make_header(const header& in, const page_record& of, std::uint32_t content,
                          const loss_counters& lost) {
    packet_header made{};
    made.magic = packet_magic;
    std::memcpy(made.uuid, in.uuid, sizeof made.uuid);
    made.stream_id = in.stream_id;
    made.timestamp_begin = of.begin;
    made.timestamp_end = of.end;
    made.content_size = made.packet_size = content * bits_of_byte;
    made.packet_seq_num = of.sequence;
    made.cpu_id = in.cpu;
    lost.store(made);
    return made;
}

namespace {

class salvager {
  public:
    salvager(header& in, std::uint64_t available, loss_counters lost, const packet_handler& to)
        : block_{in}, available_(available), lost_(lost), to_(to), bytes_(in.sub_buffer) {}

    salvage_result run(std::uint32_t first);

  private:
    void look_at(std::uint32_t position);
    void give(page_record record, const std::uint8_t* content, std::uint32_t size);
    void give_losses();

    block_view block_;
    std::uint64_t available_;
    loss_counters lost_;
    const packet_handler& to_;
    std::vector<std::uint8_t> bytes_;
    salvage_result result_;
    page_record last_{};
};

void salvager::give(page_record record, const std::uint8_t* content, std::uint32_t size) {
    const packet_header head = make_header(block_.in, record, size, lost_);
    std::memcpy(bytes_.data(), &head, sizeof head);
    std::memcpy(bytes_.data() + sizeof head, content + sizeof head, size - sizeof head);
    to_({bytes_.data(), size});
    last_ = record;
}

void salvager::look_at(std::uint32_t position) {
    const slot& one = block_.slot_at(position);
    if (!block_.has_page(one, position)) {
        return; // nothing yet, or not any more
    }
    page_record record = block_.record_of(one);
    if (record.position != position || record.is_empty != 0) {
        return;
    }
    const bool is_delivered = one.committed == position + block_.ring();
    const bool is_complete = is_delivered || one.committed - position == block_.in.sub_buffer;
    const std::uint32_t content =
        is_delivered ? record.content : committed_prefix(block_.in, one, record, position);
    if (content < packet_header_size || content > block_.in.sub_buffer) {
        if (is_complete) {
            result_.problems.emplace_back("what is noted of a packet is damaged: it is left out");
        }
        return;
    }
    if (!block_.reaches(one, content, available_)) {
        result_.problems.emplace_back(
            "a packet lies where the image has no memory: it is left out");
        return;
    }
    if (is_complete) {
        lost_.go_on(record.lost);
        ++result_.packets;
    } else {
        // Whoever closed it may have noted its end; but not that of what is left of it.
        record.end = no_time;
        ++result_.unfinished;
        const bool is_newest = block_.in.offset - position <= block_.in.sub_buffer;
        if (is_newest) { // what was lost until the machine died
            lost_.go_on(block_.in.lost);
        }
        const std::uint32_t reserved = block_.in.offset - position;
        result_.uncommitted += std::min(reserved, block_.in.sub_buffer) - content;
    }
    give(record, block_.page_of(one), content);
}

void salvager::give_losses() {
    const packet_header before = make_header(block_.in, last_, packet_header_size, lost_);
    lost_.go_on(block_.in.lost);
    const packet_header after = make_header(block_.in, last_, packet_header_size, lost_);
    // A damaged counter is not taken for billions of events.
    if (after.events_discarded - before.events_discarded - 1 >= std::uint64_t{1} << 31) {
        return;
    }
    page_record empty = last_;
    ++empty.sequence;
    // Of a last packet without an end the writer knows where it ends: this one begins there.
    empty.begin = last_.end != no_time ? last_.end : last_.begin;
    empty.end = empty.begin;
    const std::vector<std::uint8_t> nothing(packet_header_size);
    give(empty, nothing.data(), packet_header_size);
}

salvage_result salvager::run(std::uint32_t first) {
    const header& in = block_.in;
    for (std::uint32_t i = 0, position = oldest(block_.in); i < in.slot_count;
         ++i, position += in.sub_buffer) {
        if (static_cast<std::int32_t>(position - first) >= 0) {
            look_at(position);
        }
    }
    give_losses();
    return result_;
}

} // namespace

salvage_result salvage(header& in, std::uint64_t available, std::uint32_t first, loss_counters lost,
                       const packet_handler& to) {
    return salvager(in, available, lost, to).run(first);
}

salvage_result salvage(header& in, std::uint64_t available, const packet_handler& to) {
    return salvage(in, available, oldest(in), loss_counters(), to);
}

} // namespace nmisafe::tool
