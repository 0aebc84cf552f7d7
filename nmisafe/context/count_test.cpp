// SPDX-License-Identifier: MIT
// The counts, for every layout: nesting up to the cap and back, what each part answers meanwhile,
// the order of the hooks, and that the hooks cost nothing when the platform has none.
#include "nmisafe/context/count.hpp"

#include <doctest/doctest.h>

using namespace nmisafe::context;
using fake = nmisafe_platform;
using nmisafe::platform::fake::call;
using nmisafe::platform::fake::panicked;
using nmisafe::platform::fake::record;

namespace {

/// A platform with no optional part, which counts how often the word is changed.
struct bare {
    static inline uint32_t word = 0;
    static inline int additions = 0;

    static uint32_t preempt_count() { return word; }
    static void add_preempt_count(uint32_t delta) {
        word += delta;
        ++additions;
    }
    static nmisafe::platform::cpu_state& this_cpu() { return fake::cpu; }
    [[noreturn]] static void panic(const nmisafe::platform::failure& why) { fake::panic(why); }
};

struct checked : fake {
    static constexpr bool checks_counts = true;
};

/// Acts at the end of a section, as a kernel does that lets it end a grace period.
struct with_section_ends : bare {
    static inline int ends = 0;
    static void end_section(uint32_t delta) {
        word += delta;
        ends += word == 0 ? 1 : 0;
    }
};

struct with_rfc_layout : fake {
    using preempt_layout = layouts::rfc;
};
static_assert(std::same_as<chosen_layout<with_rfc_layout>::type, layouts::rfc>);
static_assert(std::same_as<chosen_layout<fake>::type, layouts::modern>);

/// How deep NMIs nest where they interrupted no interrupt.
template <typename Layout>
constexpr uint32_t nmi_cap = Layout::nmi.limit();

/// The text of the panic that `f` ends in, empty if it does not.
template <typename F>
std::string panic_of(F f) {
    try {
        f();
    } catch (const panicked& caught) {
        CHECK(caught.value == fake::count);
        CHECK(caught.frame == nullptr);
        return caught.what;
    }
    return "";
}

} // namespace

#define EVERY_LAYOUT                                                                               \
    layouts::modern, layouts::rfc, layouts::alpha, layouts::avr32, layouts::arm, layouts::ia64

TEST_CASE_TEMPLATE("NMIs nest up to the cap and panic beyond it", Layout, EVERY_LAYOUT) {
    using tested = basic_count<Layout, fake>;
    fake::reset(0x0101); // one softirq, one preempt_disable
    for (uint32_t depth = 1; depth <= nmi_cap<Layout>; ++depth) {
        tested::nmi_enter();
        CHECK(tested::hardnmi_count() == depth * Layout::nmi.one());
        CHECK(tested::hardirq_count() == depth * Layout::hardirq.one());
        CHECK(tested::in_nmi());
        CHECK(tested::in_irq());
        CHECK(tested::in_interrupt());
    }
    const uint32_t full = fake::count;
    CHECK(panic_of([] { tested::nmi_enter(); }) == "NMIs nest too deep");
    CHECK(fake::count == full); // the panic shows the word as it was

    for (uint32_t depth = nmi_cap<Layout>; depth-- > 0;) {
        tested::nmi_exit();
        CHECK(tested::hardnmi_count() == depth * Layout::nmi.one());
        CHECK(tested::in_nmi() == (depth != 0));
    }
    CHECK(fake::count == 0x0101);
}

TEST_CASE("interrupts and NMIs share the hardirq field: the cap holds for the sum") {
    using tested = basic_count<layouts::modern, fake>;
    fake::reset();
    for (int i = 0; i < 6; ++i)
        tested::irq_enter();
    for (int i = 0; i < 9; ++i)
        tested::nmi_enter();
    CHECK(tested::hardnmi_count() == 0x0090'0000);
    CHECK(tested::hardirq_count() == 0x000f'0000);
    // Without the panic the next one would carry into the NMI field.
    CHECK(panic_of([] { tested::nmi_enter(); }) == "NMIs nest too deep");
}

TEST_CASE_TEMPLATE("each part answers for itself", Layout, EVERY_LAYOUT) {
    using tested = basic_count<Layout, fake>;
    fake::reset();
    CHECK(tested::preempt_count() == 0);
    CHECK_FALSE(tested::in_interrupt());

    tested::preempt_disable();
    CHECK(tested::preempt_count() == 1);
    CHECK_FALSE(tested::in_interrupt());

    fake::add_preempt_count(Layout::softirq.one());
    CHECK(tested::softirq_count() == 0x100);
    CHECK(tested::in_softirq());
    CHECK(tested::in_interrupt());
    CHECK_FALSE(tested::in_irq());

    tested::irq_enter();
    CHECK(tested::in_irq());
    CHECK_FALSE(tested::in_nmi());
    CHECK(tested::irq_count() == 0x0001'0100);
    CHECK(tested::preempt_count() == 0x0001'0101);
    tested::irq_exit();
    CHECK_FALSE(tested::in_irq());

    fake::add_preempt_count(0 - Layout::softirq.one());
    CHECK_FALSE(tested::in_softirq());
    tested::preempt_enable_no_resched();
    CHECK(fake::count == 0);
}

/// A field so small that one section fills half of it.
struct small_preempt_field : layouts::modern {
    static constexpr field preempt{0, 2};
};
struct high_preempt_field : layouts::modern {
    static constexpr field preempt{2, 6};
};

/// Sections up to the cap, beginning with the word as it is. @return how many.
template <typename Tested>
uint32_t capped_sections(const uint32_t& word) {
    const uint32_t before = word;
    uint32_t sections = 0;
    while (Tested::preempt_disable_capped()) {
        ++sections;
        CHECK((word & ~Tested::preempt_mask) == (before & ~Tested::preempt_mask));
        CHECK((word & Tested::preempt_mask) != 0); // not to be preempted
    }
    const uint32_t full = word;
    CHECK_FALSE(Tested::preempt_disable_capped());
    CHECK(word == full);
    for (uint32_t i = 0; i < sections; ++i)
        Tested::preempt_enable_capped();
    CHECK(word == before);
    return sections;
}

TEST_CASE_TEMPLATE("capped sections nest seven deep, fewer on top of others", Layout,
                   EVERY_LAYOUT) {
    for (const uint32_t others : {0U, 0x100U, Layout::nmi.one(), 0x0003'0300U})
        for (uint32_t nested = 0; nested < 240; ++nested) {
            const uint32_t expected = nested < 128 ? (127 - nested) / 16 : 0;
            fake::reset(others + nested);
            CHECK(capped_sections<basic_count<Layout, fake>>(fake::count) == expected);
            bare::word = others + nested;
            CHECK(capped_sections<basic_count<Layout, bare>>(bare::word) == expected);
        }
}

TEST_CASE("capped sections in other fields") {
    bare::word = 0;
    CHECK(capped_sections<basic_count<small_preempt_field, bare>>(bare::word) == 1);
    bare::word = 1;
    CHECK(capped_sections<basic_count<small_preempt_field, bare>>(bare::word) == 0);
    bare::word = 3; // no bits of the field
    CHECK(capped_sections<basic_count<high_preempt_field, bare>>(bare::word) == 7);
    fake::reset();
    CHECK(capped_sections<basic_count<high_preempt_field, fake>>(fake::count) == 7);
}

TEST_CASE_TEMPLATE("the NMI bit alone makes in_interrupt() true", Layout, EVERY_LAYOUT) {
    using tested = basic_count<Layout, fake>;
    fake::reset(Layout::nmi.one()); // between the RFC's two additions
    CHECK(tested::in_interrupt());
    CHECK(tested::irq_count() == Layout::nmi.one());
    CHECK_FALSE(tested::in_irq());
}

TEST_CASE_TEMPLATE("flags of the kernel's own are neither seen nor changed", Layout, EVERY_LAYOUT) {
    using tested = basic_count<Layout, fake>;
    const uint32_t flags = Layout::need_resched.mask() | Layout::preempt_active.mask();
    fake::reset(flags);
    CHECK_FALSE(tested::in_nmi());
    CHECK_FALSE(tested::in_interrupt());
    CHECK(tested::preempt_count() == Layout::preempt_active.mask());
    tested::nmi_enter();
    CHECK((fake::count & flags) == flags);
    CHECK(tested::in_nmi());
    tested::nmi_exit();
    CHECK(fake::count == flags);
}

TEST_CASE("nmi_enter keeps the RFC's order, nmi_exit reverses it exactly") {
    using tested = basic_count<layouts::rfc, fake>;
    fake::reset();
    tested::nmi_enter();
    CHECK(fake::calls == std::vector<record>{{call::lock_checker_off, 0},
                                             {call::add_preempt_count, 0x4001'0000},
                                             {call::irq_enter_accounting, 0x4001'0000}});
    fake::calls.clear();
    tested::nmi_exit();
    CHECK(fake::calls == std::vector<record>{{call::irq_exit_accounting, 0x4001'0000},
                                             {call::add_preempt_count, 0},
                                             {call::lock_checker_on, 0}});
}

TEST_CASE("the lock checker is off already when a nested NMI panics, and nothing was counted") {
    using tested = basic_count<layouts::rfc, fake>;
    fake::reset(0x4001'0000);
    CHECK(panic_of([] { tested::nmi_enter(); }) == "NMIs nest too deep");
    CHECK(fake::calls == std::vector<record>{{call::lock_checker_off, 0x4001'0000}});
}

TEST_CASE("interrupts are accounted for inside their count") {
    using tested = basic_count<layouts::rfc, fake>;
    fake::reset();
    tested::irq_enter();
    tested::irq_exit();
    CHECK(fake::calls == std::vector<record>{{call::add_preempt_count, 0x0001'0000},
                                             {call::irq_enter_accounting, 0x0001'0000},
                                             {call::irq_exit_accounting, 0x0001'0000},
                                             {call::add_preempt_count, 0}});
}

TEST_CASE_TEMPLATE("without hooks an NMI changes the word once on each side", Layout,
                   EVERY_LAYOUT) {
    using tested = basic_count<Layout, bare>;
    bare::word = 0;
    bare::additions = 0;
    tested::nmi_enter();
    CHECK(bare::additions == 1);
    CHECK(tested::in_nmi());
    tested::nmi_exit();
    CHECK(bare::additions == 2);
    CHECK(bare::word == 0);
}

TEST_CASE("an unbalanced change panics where the platform wants counts checked") {
    using tested = basic_count<layouts::modern, checked>;
    fake::reset();
    CHECK(panic_of([] { tested::preempt_enable_no_resched(); }) ==
          "preempt_enable() without preempt_disable()");
    CHECK(panic_of([] { tested::irq_exit(); }) == "irq_exit() without irq_enter()");
    CHECK(panic_of([] { tested::nmi_exit(); }) == "nmi_exit() without nmi_enter()");
    fake::reset(0x000f'00ff);
    CHECK(panic_of([] { tested::preempt_disable(); }) == "preempt_disable() nests too deep");
    CHECK(panic_of([] { tested::irq_enter(); }) == "interrupts nest too deep");
    CHECK(fake::count == 0x000f'00ff);

    fake::reset();
    CHECK(panic_of([] {
              tested::preempt_disable();
              tested::irq_enter();
              tested::nmi_enter();
              tested::nmi_exit();
              tested::irq_exit();
              tested::preempt_enable_no_resched();
          }) == "");
    CHECK(fake::count == 0);
}

TEST_CASE(
    "the end of a preempt-disabled section is the platform's where it asks for it, and no other") {
    using tested = basic_count<layouts::modern, with_section_ends>;
    bare::word = 0;
    bare::additions = 0;
    tested::preempt_disable();
    tested::preempt_disable();
    tested::irq_enter();
    tested::nmi_enter();
    tested::nmi_exit();
    tested::irq_exit();
    tested::preempt_enable_no_resched();
    CHECK(with_section_ends::ends == 0);
    CHECK(bare::word == 1);
    tested::preempt_enable_no_resched();
    CHECK(with_section_ends::ends == 1);
    CHECK(bare::word == 0);
    CHECK(bare::additions == 6); // two disables, the interrupt's and the NMI's
}

TEST_CASE("the free functions are those of the kernel's platform in its layout") {
    fake::reset();
    preempt_disable();
    irq_enter();
    nmi_enter();
    CHECK(preempt_count() == 0x0012'0001);
    CHECK(hardirq_count() == 0x0002'0000);
    CHECK(hardnmi_count() == 0x0010'0000);
    CHECK(irq_count() == 0x0012'0000);
    CHECK(softirq_count() == 0);
    CHECK(in_nmi());
    CHECK(in_irq());
    CHECK(in_interrupt());
    CHECK_FALSE(in_softirq());
    nmi_exit();
    CHECK_FALSE(in_nmi());
    irq_exit();
    preempt_enable_no_resched();
    CHECK(fake::count == 0);
}
