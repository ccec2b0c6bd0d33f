// for_each_schedule: runs a scenario under many random orders, so that what depends on the order shows.
//
//     weft::testing::for_each_schedule(10'000, [](weft::testing::random& draw) {
//         weft::mutex mutex;
//         ... // spawn fibers that use it; draw.below(3) == 0 decides what they do
//         if (broken)
//             throw std::runtime_error("...");
//     });
//
// The scenario is the main of a weft::run of its own each time: under random_order, and, unless told otherwise, a virtual clock, so that waiting takes
// no time. When it throws, its seed is printed on stderr, and the exception passed on: with WEFT_TEST_SEED=<that>, the same schedule is the
// first to be run.
//
// Off fibers only: std::logic_error.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <utility>

#include <weft/run.hpp>
#include <weft/testing/random.hpp>
#include <weft/testing/random_order.hpp>
#include <weft/testing/seed.hpp>
#include <weft/testing/virtual_clock.hpp>

namespace weft::testing {

struct schedule_options {
    run_options run;
    bool virtual_time = true;
};

template <class Scenario>
void for_each_schedule(unsigned count, Scenario&& scenario, schedule_options const& options = {}) {
    std::optional<virtual_clock> clock;
    if (options.virtual_time)
        clock.emplace();
    std::uint32_t const first = seed();
    for (unsigned i = 0; i < count; ++i) {
        std::uint32_t const each = first + i;
        try {
            random_order const order(each);
            random draw(each);
            weft::run([&] { scenario(draw); }, options.run);
        } catch (...) {
            std::fprintf(stderr, "weft: schedule %u of %u failed; WEFT_TEST_SEED=%u repeats it\n", i + 1,
                         count, each);
            throw;
        }
    }
}

} // namespace weft::testing
