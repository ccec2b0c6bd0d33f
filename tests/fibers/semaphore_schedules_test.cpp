// semaphore and bounded_semaphore under many orders: no permit is lost or made, and nobody is overtaken.
#include <mutex>
#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include <weft/bounded_semaphore.hpp>
#include <weft/cancel_scope.hpp>
#include <weft/semaphore.hpp>
#include <weft/testing/schedules.hpp>
#include <weft/this_fiber.hpp>

#include "support/disturbance.hpp"
#include "support/line.hpp"
#include "support/require.hpp"
#include "support/short_lived.hpp"

namespace {

using support::require;

template <class Semaphore> void conserves_permits() {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        unsigned const permits = 1 + draw.below(3);
        Semaphore semaphore(permits);
        support::line all(permits);
        unsigned inside = 0;
        chance.run(6, [&](unsigned) {
            for (int i = 0; i < 4; ++i) {
                chance.pause();
                if (!support::take(chance, all, semaphore))
                    continue;
                support::holding const held(all, semaphore);
                require(++inside <= permits, "more are inside than may be");
                chance.yield();
                --inside;
                chance.pause();
            }
        });
        require(semaphore.available() == permits, "a permit was lost, or made");
    });
}

} // namespace

BOOST_AUTO_TEST_CASE(permits_come_back_in_every_order) { conserves_permits<weft::semaphore>(); }
BOOST_AUTO_TEST_CASE(permits_of_a_bounded_one_come_back_in_every_order) {
    conserves_permits<weft::bounded_semaphore>();
}

// Some only take and others only give, several at once.
BOOST_AUTO_TEST_CASE(as_many_are_taken_as_are_given_in_every_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        weft::semaphore semaphore(0);
        support::line all(0);
        std::ptrdiff_t given = 0;
        std::ptrdiff_t taken = 0;
        unsigned takers = 4;
        chance.run(
            4,
            [&](unsigned) {
                struct counter {
                    unsigned& takers;
                    ~counter() { --takers; }
                } const at_end{takers};
                for (int i = 0; i < 4; ++i) {
                    chance.pause();
                    taken += support::take(chance, all, semaphore) ? 1 : 0;
                }
            },
            [&] {
                while (takers > 0) {
                    chance.pause();
                    auto const some = static_cast<std::ptrdiff_t>(draw.below(4));
                    all.add(some);
                    given += some;
                    semaphore.release(some);
                    weft::this_fiber::yield();
                }
            });
        require(semaphore.available() == given - taken, "a permit was lost, or made");
    });
}

BOOST_AUTO_TEST_CASE(over_release_is_found_in_every_order) {
    weft::testing::for_each_schedule(support::schedules / 4, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        weft::bounded_semaphore semaphore(2);
        std::ptrdiff_t acquired = 0; // and seen to be; others may have been given one, and not have run
        chance.run(5, [&](unsigned) {
            for (int i = 0; i < 4; ++i) {
                chance.pause();
                if (!semaphore.try_acquire_until(chance.soon()))
                    continue;
                ++acquired;
                chance.yield();
                try {
                    semaphore.release(3);
                    require(false, "more were released than there are");
                } catch (support::broken const&) {
                    throw;
                } catch (std::logic_error const&) {
                    require(semaphore.available() <= 2 - acquired, "a refused release has changed something");
                }
                --acquired;
                semaphore.release();
            }
        });
        require(semaphore.available() == 2, "a permit was lost, or made");
    });
}

BOOST_AUTO_TEST_CASE(a_bounded_one_may_end_as_soon_as_it_was_handed_over) {
    support::short_lived_lock([] { return std::make_unique<weft::bounded_semaphore>(1); });
}
