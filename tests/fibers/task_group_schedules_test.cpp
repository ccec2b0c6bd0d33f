// task_group under many orders: start() tells truly what became of its fiber, and nothing outlives the group.
#include <chrono>
#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/task_group.hpp>
#include <weft/testing/schedules.hpp>
#include <weft/this_fiber.hpp>

#include "support/disturbance.hpp"
#include "support/require.hpp"

namespace {

using support::require;

struct counted {
    explicit counted(int& alive) : count(alive) { ++count; }
    counted(counted const&) = delete;
    counted& operator=(counted const&) = delete;
    ~counted() { --count; }
    int& count;
};

} // namespace

BOOST_AUTO_TEST_CASE(a_start_ends_truly_in_every_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        chance.run(4, [&](unsigned) {
            int alive = 0;
            {
                weft::task_group group(weft::failure_policy::collect);
                for (int i = 0; i < 3; ++i) {
                    bool ready = false;
                    bool threw = false;
                    bool returned = false;
                    auto const function = [&](weft::readiness<int>& status) {
                        counted const self(alive);
                        chance.pause();
                        if (chance.one_in(4)) {
                            threw = true;
                            throw 1;
                        }
                        if (chance.one_in(4)) {
                            returned = true;
                            return;
                        }
                        ready = true;
                        status.ready(7);
                        // From here on nothing of the caller's frame is known to be there.
                        weft::this_fiber::yield();
                    };
                    try {
                        require(group.start<int>(function) == 7 && ready, "start returned another value");
                    } catch (int) {
                        require(threw, "nobody has thrown that");
                    } catch (support::broken const&) {
                        throw;
                    } catch (std::logic_error const&) {
                        require(returned, "it has not returned unready");
                    }
                    chance.yield();
                }
            }
            require(alive == 0, "a fiber outlived its group");
        });
    });
}

BOOST_AUTO_TEST_CASE(groups_in_groups_end_in_every_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        chance.run(3, [&](unsigned) {
            int alive = 0;
            try {
                weft::with_task_group([&](weft::task_group& outer) {
                    for (int i = 0; i < 2; ++i)
                        outer.spawn([&] {
                            counted const self(alive);
                            weft::with_task_group([&](weft::task_group& inner) {
                                for (int j = 0; j < 2; ++j)
                                    inner.spawn([&] {
                                        counted const child(alive);
                                        chance.pause();
                                        if (chance.one_in(6))
                                            throw 1;
                                        chance.pause();
                                        if (chance.one_in(6))
                                            outer.cancel();
                                    });
                                chance.pause();
                            });
                        });
                    chance.pause();
                });
            } catch (weft::exception_group const&) { // planned
            } catch (...) {
                require(alive == 0, "a fiber outlived its group");
                throw;
            }
            require(alive == 0, "a fiber outlived its group");
        });
    });
}
