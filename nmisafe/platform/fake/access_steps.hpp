// SPDX-License-Identifier: MIT
/// Runs code with something done before any of its accesses to shared memory: what a context that
/// interrupts it, or another CPU, could do there. Far quicker than single_step.hpp, and for a few
/// accesses in place of all instructions: so contexts inside each other can be tried everywhere.
///
/// The code is compiled with -fsanitize=thread but linked without its runtime: the compiler's calls
/// before each access end here, in access_steps.cpp, which is compiled without. Memory is
/// sequentially consistent. Hosted code, for tests only, of 64 bits and one thread.
#pragma once

#include "nmisafe/base/std.hpp"

namespace nmisafe::platform::fake::access_steps {

enum class grain : uint8_t {
    each, ///< Every access is a step, ...
    runs, ///< ... or those that follow each other without one elsewhere are one.
};

/// Forgets what was watched.
void watch_nothing();
/// Accesses to these bytes are steps. At most 8 ranges.
void watch(const void* begin, size_t size, grain how);

/// Something that happens before a step.
struct visit {
    unsigned at;     ///< The step, those of what came inside before included, or a later one.
    void (*what)();  ///< Runs there, as a handler does. Its steps count too; or null: ...
    unsigned beside; ///< ... the other CPU goes on, up to before so many of its steps.
};

struct outcome {
    unsigned steps;   ///< All contexts' of the first CPU.
    unsigned visited; ///< How many of the visits came to pass.
};

/// Calls `first`, with these visits, in the order of `at`. The other CPU's function begins when it
/// is visited first, and what is left of it then runs at the end.
outcome run(void (*first)(), void (*other)(), const visit* visits, size_t count);

/// A step that is no access.
void step();

/// While it exists, nothing is a step: what belongs to the test.
class unwatched {
  public:
    unwatched();
    ~unwatched();
    unwatched(const unwatched&) = delete;
    unwatched& operator=(const unwatched&) = delete;

  private:
    bool before_;
};

} // namespace nmisafe::platform::fake::access_steps
