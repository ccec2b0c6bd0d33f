// Fibers that are disturbed at random moments: for scenarios of weft::testing::for_each_schedule, whose promises hold all the same.
//
//     support::disturbance chance(draw);
//     chance.run(5, [&](unsigned which) { ... }); // on five fibers, some of which are cancelled in the midst of it
//
// Some of the fibers live in a task group that fails or is cancelled, some are cancelled by their handles, some have a deadline. Time is
// counted in a few ticks, so that deadlines, cancellations and wake-ups coincide.
#pragma once

#include <chrono>
#include <cstdio>
#include <exception>
#include <vector>

#include <weft/cancel_scope.hpp>
#include <weft/clock.hpp>
#include <weft/fiber.hpp>
#include <weft/task_group.hpp>
#include <weft/testing/schedules.hpp>
#include <weft/this_fiber.hpp>

#include "support/memory.hpp"

namespace support {

// How many schedules a scenario is run under.
inline constexpr unsigned schedules = sanitized ? 2'000 : 10'000;

class disturbance {
public:
    static constexpr std::chrono::milliseconds tick{1};

    explicit disturbance(weft::testing::random& draw) : draw_(draw) {}

    unsigned below(unsigned limit) { return draw_.below(limit); }
    bool one_in(unsigned many) { return below(many) == 0; }

    // A deadline, which may have come already.
    weft::time_point soon() { return weft::clock::now() + below(4) * tick; }

    // Lets others run, or not. Throws nothing.
    void yield() {
        if (one_in(2))
            weft::this_fiber::yield();
    }
    // The same, and time may pass. Throws weft::cancelled.
    void pause() {
        if (one_in(4))
            weft::this_fiber::sleep_until(soon());
        else
            yield();
    }

    // Calls body(0) ... body(count - 1) on as many fibers, and `meanwhile` on the calling one. Returns when all have ended; throws the first
    // exception that left a body, other than weft::cancelled.
    template <class Body, class Meanwhile> void run(unsigned count, Body&& body, Meanwhile&& meanwhile) {
        auto const disturbed = [&](unsigned which) {
            return [&, which] {
                try {
                    if (one_in(4)) {
                        weft::cancel_scope scope(soon());
                        scope.run([&] { body(which); });
                    } else {
                        body(which);
                    }
                } catch (weft::cancelled const&) {
                    throw;
                } catch (std::exception const& failure) {
                    // At once: others may hang for it.
                    std::fprintf(stderr, "fiber %u: %s\n", which, failure.what());
                    if (!failure_)
                        failure_ = std::current_exception();
                }
            };
        };
        std::vector<weft::fiber<>> alone;
        std::vector<weft::task<>> grouped;
        weft::task_group group;
        for (unsigned i = 0; i < count; ++i)
            if (one_in(2))
                alone.push_back(weft::spawn(disturbed(i)));
            else
                grouped.push_back(group.spawn(disturbed(i)));
        std::vector<weft::fiber<>> disturbers;
        for (weft::fiber<>& each : alone)
            cancel_some_time(each, disturbers);
        for (weft::task<>& each : grouped)
            cancel_some_time(each, disturbers);
        if (one_in(3))
            group.spawn([&] {
                pause();
                if (one_in(2))
                    throw planned();
                group.cancel();
            });
        meanwhile();
        try {
            group.wait();
        } catch (weft::exception_group const&) { // planned
        }
        for (weft::fiber<>& each : alone)
            each.join();
        disturbers.clear();
        if (failure_)
            std::rethrow_exception(failure_);
    }
    template <class Body> void run(unsigned count, Body&& body) {
        run(count, body, [] {});
    }

private:
    struct planned {};

    void cancel_some_time(weft::fiber_handle& fiber, std::vector<weft::fiber<>>& disturbers) {
        if (one_in(4))
            disturbers.push_back(weft::spawn([this, &fiber] {
                pause();
                fiber.cancel();
            }));
    }

    weft::testing::random& draw_;
    std::exception_ptr failure_;
};

} // namespace support
