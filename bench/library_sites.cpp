// SPDX-License-Identifier: MIT
// The techniques of the library: this program patches itself.
#include "bench/marker_sites.hpp"
#include "nmisafe/marker/statement.hpp"
#include "nmisafe/platform/hosted/nmisafe_platform.hpp"

#include <fmt/format.h>
#include <memory>
#include <string>
#include <vector>

namespace nmisafe::bench {

#define SITE(number, ...) constinit immediate::immediate<uint32_t> number_##number;
NMISAFE_BENCH_EACH_SITE(SITE, )
#undef SITE

namespace {

namespace hosted = platform::hosted;

constexpr char format[] = "round %u";

// The flag of a marker, whether its statements load it or are patched, and a statement.
#define FLAG(number, statement, channel)                                                           \
    &marker::internal::declared<#channel, "site_" #number, format>::on,
#define SITE(number, statement, channel) statement(channel, site_##number, "round %u", value);

#define MARKER_SITES(name, statement, channel)                                                     \
    struct name {                                                                                  \
        static flag_addresses flags() {                                                            \
            return {NMISAFE_BENCH_EACH_SITE(FLAG, statement, channel)};                            \
        }                                                                                          \
        [[gnu::always_inline]] static void round(uint32_t& value) {                                \
            NMISAFE_BENCH_EACH_SITE(SITE, statement, channel)                                      \
        }                                                                                          \
        [[gnu::always_inline]] static void first(uint32_t& value) { SITE(0, statement, channel) }  \
    };
MARKER_SITES(dormant_sites, NMISAFE_TRACE_MARK, dormant)
MARKER_SITES(loading_sites, NMISAFE_TRACE_MARK_LOAD, loading)
MARKER_SITES(enabled_sites, NMISAFE_TRACE_MARK, enabled)
#undef MARKER_SITES
#undef SITE
#undef FLAG

struct immediate_read_sites {
    static flag_addresses flags() {
#define FLAG(number, ...) &number_##number,
        return {NMISAFE_BENCH_EACH_SITE(FLAG, )};
#undef FLAG
    }
    [[gnu::always_inline]] static void round(uint32_t&) {
#define SITE(number, ...) asm volatile("" : : "r"(immediate::read<number_##number>()));
        NMISAFE_BENCH_EACH_SITE(SITE, )
    }
    [[gnu::always_inline]] static void first(uint32_t&) {
        SITE(0, )
    }
#undef SITE
};

void count_hit(const marker::marker&, void*, const marker::arguments&) {
    ++hits;
}

void do_nothing(const marker::marker&, void*, const marker::arguments&) {}

/// Registers a probe with each site's marker of a channel, or unregisters them.
bool turn_channel(const char* channel, marker::probe_function function, bool on) {
    static std::vector<std::unique_ptr<marker::probe>> probes; // they stay: markers point to them
    bool well = true;
    for (unsigned i = 0; i < sites; ++i) {
        const std::string name = fmt::format("site_{}", i);
        if (on) {
            probes.push_back(std::make_unique<marker::probe>(function, nullptr));
            well &=
                marker::register_probe(channel, name.c_str(), format, *probes.back()).has_value();
        } else {
            well &= marker::unregister_probe(channel, name.c_str(), function, nullptr).has_value();
        }
    }
    return well;
}

bool turn_dormant(bool on) {
    return turn_channel("dormant", count_hit, on);
}

bool turn_loading(bool on) {
    return turn_channel("loading", count_hit, on);
}

/// Beside the probe that does nothing.
bool turn_enabled(bool on) {
    return turn_channel("enabled", count_hit, on);
}

} // namespace

bool allow_patching() {
    static std::vector<text_patch::patch> workspace(immediate::site_count());
    immediate::use_workspace(workspace.data(), workspace.size());
    return hosted::set_up(text_patch::handle_breakpoint);
}

bool turn_enabled_on() {
    return turn_channel("enabled", do_nothing, true);
}

constinit const technique dormant_marker = describe<dormant_sites>("marker", turn_dormant);
constinit const technique loading_marker = describe<loading_sites>("marker-load", turn_loading);
constinit const technique enabled_marker = describe<enabled_sites>("marker-on", turn_enabled);
constinit const technique immediate_read = describe<immediate_read_sites>("read");

} // namespace nmisafe::bench
