// SPDX-License-Identifier: MIT
// A kprobe and a marker's statement on one instruction, of an image that joins and leaves: each
// sequence of what can be done is compared with the meaning that docs/decisions/0008 gives it.
#include "nmisafe/kprobe/closed_range.hpp"
#include "nmisafe/marker/join_test.hpp"
#include "tests/lifetime/world.hpp"

using namespace nmisafe;
using marker::marker_error;

namespace {

// j  the image joins            r  the marker probe is registered     i  the kprobe is inserted
// l  the image leaves           u  it is unregistered                 k  it is removed and released
// x  the image is unloaded, as a kernel does: not if the kprobe stands in the way
// t  what is left on is turned off
constexpr char actions[] = "jlruikxt";

struct world {
    lifetime::site_image& text;
    marker::test::image& image;
    immediate::site_range sites;
    kprobe::probe instruction_probe;
    marker::probe marker_probe{[](const marker::marker&, void* count, const marker::arguments&) {
                                   ++*static_cast<unsigned*>(count);
                               },
                               &calls};
    unsigned calls = 0;

    // What it must be like.
    bool joined = false;
    bool registered = false;
    bool probed = false;
    bool on = false; // the instruction is the jump
    unsigned expected_hits = 0;

    world();
    ~world();

    void act(char what);
    void check();

    void join();
    bool leave();
    void unload();
    void register_probe();
    void unregister_probe();
    void insert();
    void remove();
    void turn_off_idle();
    /// Whatever a registration comes to, at its end it turns off what can be.
    void settle() { on = on && !(joined && !registered && !probed); }
};

text_patch::patch workspace[4];
lifetime::site_image text_storage;
alignas(marker::test::image) char image_storage[sizeof(marker::test::image)];

world::world() : text(text_storage), image(*new (image_storage) marker::test::image) {
    lifetime::fake::reset();
    immediate::use_workspace(workspace, 4);
    text.place({0x0f, 0x1f, 0x44, 0, 0});
    const auto& flag = image.data.flags[1];
    sites = text.describe(const_cast<immediate::immediate<bool>&>(flag).as_key(),
                          immediate::site_kind::branch, image.range.data);
    image.range.code = sites.code;
    instruction_probe = text.make_kprobe();
}

world::~world() {
    (void)kprobe::remove(instruction_probe);
    (void)kprobe::release(instruction_probe);
    (void)marker::leave(image.range);
    (void)immediate::leave(sites);
    CHECK(marker::synchronise());
}

void world::join() {
    if (joined) {
        CHECK(immediate::join(sites).error() == immediate::join_error::joined_already);
        CHECK(marker::join(image.range).error() == marker_error::range_in_use);
        settle();
        return;
    }
    // A table is not believed: at the site there must be the instruction itself.
    const auto of_sites = immediate::join(sites);
    CHECK(of_sites.has_value() == !probed);
    if (!of_sites) {
        CHECK(of_sites.error() == immediate::join_error::bad_site);
        return;
    }
    CHECK(marker::join(image.range));
    joined = true;
    on = false; // no probe is registered with what has just come
}

/// Does not depend on what stands on the site.
bool world::leave() {
    const auto left = marker::leave(image.range);
    CHECK(left.has_value() == joined);
    if (!left) {
        CHECK(left.error() == marker_error::not_joined);
        CHECK(immediate::leave(sites).error() == immediate::join_error::not_joined);
        return false;
    }
    CHECK(*left == (registered ? 1 : 0));
    CHECK(immediate::leave(sites));
    CHECK(marker::synchronise());
    joined = false;
    registered = false;
    return true;
}

void world::unload() {
    kprobe::closed_range range{sites.code, sites.data, {}, nullptr};
    const auto closed = kprobe::close(range);
    CHECK(closed.has_value() == !probed);
    if (!closed) {
        CHECK(closed.error() == kprobe::probe_error::occupied);
        return;
    }
    CHECK(*kprobe::evict(range) == 0);
    leave();
    CHECK(kprobe::open(range));
}

void world::register_probe() {
    const auto done = marker::register_probe("join", "own", nullptr, marker_probe);
    const marker_error why = !joined         ? marker_error::no_marker
                             : registered    ? marker_error::probe_in_use
                             : probed && !on ? marker_error::not_patched
                                             : marker_error{};
    CHECK(done.has_value() == (why == marker_error{}));
    if (!done)
        CHECK(done.error() == why);
    registered = registered || done.has_value();
    on = on || done.has_value();
    settle();
}

void world::unregister_probe() {
    const auto done = marker::unregister_probe(marker_probe);
    CHECK(done.has_value() == registered);
    if (!done)
        CHECK(done.error() == marker_error::not_registered);
    else
        CHECK(marker::synchronise());
    registered = false;
    settle();
}

void world::insert() {
    const auto done = kprobe::insert(instruction_probe);
    CHECK(done.has_value() == !probed);
    if (!done)
        CHECK(done.error() == kprobe::probe_error::wrong_state);
    else
        expected_hits = 0;
    probed = true;
}

void world::remove() {
    const auto done = kprobe::remove(instruction_probe);
    CHECK(done.has_value() == probed);
    if (!done)
        CHECK(done.error() == kprobe::probe_error::wrong_state);
    CHECK(kprobe::release(instruction_probe).has_value() == probed);
    probed = false;
}

void world::turn_off_idle() {
    const bool stays_on = on && joined && !registered && probed;
    const auto done = marker::turn_off_idle();
    CHECK(done.has_value() == !stays_on);
    if (!done)
        CHECK(done.error() == marker_error::not_patched);
    settle();
}

void world::act(char what) {
    switch (what) {
    case 'j':
        return join();
    case 'l':
        leave();
        return;
    case 'x':
        return unload();
    case 'r':
        return register_probe();
    case 'u':
        return unregister_probe();
    case 'i':
        return insert();
    case 'k':
        return remove();
    default:
        return turn_off_idle();
    }
}

/// Bytes, words and, above all, what a CPU does that comes by.
void world::check() {
    CHECK(lifetime::text_at(text.begin()) == (probed ? 0xcc : on ? 0xe9 : 0x0f));
    CHECK(lifetime::text_at(text.begin() + 1) == (on ? lifetime::target_at - 5 : 0x1f));
    CHECK(image.own().is_on() == on);
    CHECK(image.own().arm_count() == (registered ? 1 : 0));
    CHECK((marker_probe.registered_with() != nullptr) == registered);

    const uintptr_t behind = lifetime::execute(text.begin(), [](uint32_t) {});
    CHECK(behind == text.begin() + (on ? lifetime::target_at : 5));
    expected_hits += probed;
    CHECK(instruction_probe.hits == (probed ? expected_hits : instruction_probe.hits));
    const unsigned before = calls;
    if (behind == text.begin() + lifetime::target_at) {
        const marker::internal::argument_block<2> values(image.own(), 1U, 2U);
        REQUIRE(marker::hits::call(image.own(), values.head));
    }
    CHECK(calls == before + registered);
}

void run(const std::string& sequence) {
    lifetime::check_after_each<world>(sequence);
}

} // namespace

TEST_CASE("every order of a kprobe's, a marker probe's and an image's coming and going") {
    lifetime::for_each_order("jlruikx", run);
}

TEST_CASE("every sequence of four of these, once more or never") {
    lifetime::for_each_sequence(actions, 4, run);
}

TEST_CASE("the same from an image that is on, with a kprobe on its site and not") {
    for (const char* begin : {"jr", "jri", "jriu"})
        lifetime::for_each_sequence(actions, 3,
                                    [&](const std::string& rest) { run(begin + rest); });
}
