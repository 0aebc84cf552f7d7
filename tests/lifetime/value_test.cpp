// SPDX-License-Identifier: MIT
// A kprobe on an instruction that reads an immediate value, of an image that joins and leaves: each
// sequence of what can be done is compared with the meaning that docs/decisions/0008 gives it.
#include "tests/lifetime/world.hpp"

using namespace nmisafe;
using text_patch::patch_error;

namespace {

// j  the image joins     s  the value is set     i  the kprobe is inserted
// l  the image leaves                            k  it is removed and released
constexpr char actions[] = "jlsik";

constexpr uint32_t first_value = 7;

struct world {
    lifetime::site_image& text;
    immediate::site_range sites;
    kprobe::probe instruction_probe;

    // What it must be like.
    bool joined = false;
    bool probed = false;
    uint32_t key_value = first_value;
    uint32_t site_value = first_value;

    world();
    ~world();

    void act(char what);
    void check() const;

    void join();
    void leave();
    void set();
    void insert();
    void remove();
};

text_patch::patch workspace[2];
lifetime::site_image text_storage;
immediate::immediate<uint32_t, first_value> value;

world::world() : text(text_storage) {
    lifetime::fake::reset();
    immediate::use_workspace(workspace, 2);
    value.as_key().bits = first_value;
    text.place({0xb8, first_value, 0, 0, 0});
    sites = text.describe(value.as_key(), immediate::site_kind::value,
                          {lifetime::address_of(&value), lifetime::address_of(&value + 1)});
    instruction_probe = text.make_kprobe();
}

world::~world() {
    (void)kprobe::remove(instruction_probe);
    (void)kprobe::release(instruction_probe);
    (void)immediate::leave(sites);
}

void world::join() {
    const auto done = immediate::join(sites);
    const auto why = joined   ? immediate::join_error::joined_already
                     : probed ? immediate::join_error::bad_site
                              : immediate::join_error{};
    CHECK(done.has_value() == (why == immediate::join_error{}));
    if (!done) {
        CHECK(done.error() == why);
        return;
    }
    joined = true;
    site_value = key_value;
}

void world::leave() {
    const auto done = immediate::leave(sites);
    CHECK(done.has_value() == joined);
    if (!done)
        CHECK(done.error() == immediate::join_error::not_joined);
    joined = false;
}

/// With a kprobe on one of its sites a key keeps its value, everywhere.
void world::set() {
    const auto done = immediate::set(value, key_value + 1);
    CHECK(done.has_value() == !(joined && probed));
    if (!done) {
        CHECK(done.error() == patch_error::unexpected_bytes);
        return;
    }
    ++key_value;
    if (joined)
        site_value = key_value;
}

void world::insert() {
    CHECK(kprobe::insert(instruction_probe).has_value() == !probed);
    probed = true;
}

void world::remove() {
    CHECK(kprobe::remove(instruction_probe).has_value() == probed);
    CHECK(kprobe::release(instruction_probe).has_value() == probed);
    probed = false;
}

void world::act(char what) {
    switch (what) {
    case 'j':
        return join();
    case 'l':
        return leave();
    case 's':
        return set();
    case 'i':
        return insert();
    default:
        return remove();
    }
}

void world::check() const {
    CHECK(value.stored() == key_value);
    uint32_t loaded = 0;
    const uint32_t hits = instruction_probe.hits;
    const uintptr_t behind =
        lifetime::execute(text.begin(), [&](uint32_t found) { loaded = found; });
    CHECK(behind == text.begin() + 5);
    CHECK(loaded == site_value);
    CHECK(instruction_probe.hits == hits + probed);
}

void run(const std::string& sequence) {
    lifetime::check_after_each<world>(sequence);
}

} // namespace

TEST_CASE("every order of setting a value, a kprobe's and an image's coming and going") {
    lifetime::for_each_order(actions, run);
}

TEST_CASE("every sequence of five of these, once more or never") {
    lifetime::for_each_sequence(actions, 5, run);
}
