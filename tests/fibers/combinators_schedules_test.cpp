// The combinators under many orders: each fiber is heard of once, the right one wins, and nothing outlives the call.
#include <algorithm>
#include <exception>
#include <string_view>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/as_completed.hpp>
#include <weft/cancel_scope.hpp>
#include <weft/fiber.hpp>
#include <weft/gather.hpp>
#include <weft/race.hpp>
#include <weft/testing/schedules.hpp>
#include <weft/this_fiber.hpp>
#include <weft/wait.hpp>

#include "support/disturbance.hpp"
#include "support/require.hpp"

namespace {

using support::require;

struct fault {
    int which;
};

// Functions for fibers, and what became of them.
class jobs {
public:
    explicit jobs(support::disturbance& chance) : chance_(chance) {}

    // Returns `which`, or throws it.
    auto operator()(int which) {
        return [this, which] {
            running const self(*this, which);
            for (unsigned i = chance_.below(3); i > 0; --i)
                chance_.pause();
            if (chance_.one_in(6)) {
                failed_.push_back(which);
                throw fault{which};
            }
            return which;
        };
    }

    std::vector<weft::fiber<int>> spawn(int count) {
        std::vector<weft::fiber<int>> fibers;
        for (int i = 0; i < count; ++i)
            fibers.push_back(weft::spawn((*this)(i)));
        return fibers;
    }

    [[nodiscard]] int alive() const { return alive_; }
    // In the order in which they ended, in whatever way.
    [[nodiscard]] std::vector<int> const& ended() const { return ended_; }
    [[nodiscard]] bool has_failed(int which) const {
        return std::find(failed_.begin(), failed_.end(), which) != failed_.end();
    }
    [[nodiscard]] bool none_has_failed() const { return failed_.empty(); }

private:
    struct running {
        running(jobs& of_, int which_) : of(of_), which(which_) { ++of.alive_; }
        running(running const&) = delete;
        running& operator=(running const&) = delete;
        ~running() {
            --of.alive_;
            of.ended_.push_back(which);
        }

        jobs& of;
        int which;
    };

    support::disturbance& chance_;
    int alive_ = 0;
    std::vector<int> ended_;
    std::vector<int> failed_;
};

// Disturbed callers of `call(chance, jobs)`, which leave no fiber behind, however they end.
template <class Call> void under_many_orders(Call call) {
    weft::testing::schedule_options options;
    options.run.on_unhandled = [](std::string_view, std::exception_ptr const&) {
    }; // of those that nobody asks
    auto const scenario = [&](weft::testing::random& draw) {
        support::disturbance chance(draw);
        chance.run(3, [&](unsigned) {
            jobs job(chance);
            try {
                call(chance, job);
            } catch (weft::cancelled const&) {
                require(job.alive() == 0, "a fiber outlived a cancelled call");
                throw;
            }
            require(job.alive() == 0, "a fiber outlived the call");
        });
    };
    weft::testing::for_each_schedule(support::schedules, scenario, options);
}

} // namespace

BOOST_AUTO_TEST_CASE(as_completed_gives_each_once_as_they_end) {
    under_many_orders([](support::disturbance& chance, jobs& job) {
        std::size_t const most = 1 + chance.below(5);
        std::vector<int> given;
        auto all = weft::as_completed(job.spawn(4));
        for (auto each = all.begin(); each != all.end(); ++each) {
            int const place = static_cast<int>(each.place());
            given.push_back(place);
            require(each->done(), "it has not ended");
            try {
                require(each->get() == place, "it gave another's value");
            } catch (fault const& failure) {
                require(failure.which == place && job.has_failed(place), "it threw another's exception");
            }
            chance.pause();
            if (given.size() == most)
                break;
        }
        require(given.size() == std::min<std::size_t>(most, 4), "one was never given");
        require(std::equal(given.begin(), given.end(), job.ended().begin()),
                "not in the order of their ends");
        std::sort(given.begin(), given.end());
        require(std::adjacent_find(given.begin(), given.end()) == given.end(), "one was given twice");
        auto const left = std::move(all); // which ends the others
    });
}

BOOST_AUTO_TEST_CASE(gather_returns_all_or_throws_a_failure) {
    under_many_orders([](support::disturbance&, jobs& job) {
        try {
            require(weft::gather(job(0), job(1), job(2)) == std::tuple(0, 1, 2), "the wrong values");
            require(job.none_has_failed(), "a failure was lost");
        } catch (fault const& failure) {
            require(job.has_failed(failure.which), "nobody has thrown that");
        }
    });
    under_many_orders([](support::disturbance&, jobs& job) {
        try {
            require(weft::gather(job.spawn(3)) == std::vector{0, 1, 2}, "the wrong values");
            require(job.none_has_failed(), "a failure was lost");
        } catch (fault const& failure) {
            require(failure.which == *std::find_if(job.ended().begin(), job.ended().end(),
                                                   [&](int each) { return job.has_failed(each); }),
                    "another one had failed first");
        }
    });
}

BOOST_AUTO_TEST_CASE(the_first_to_end_wins_a_race) {
    under_many_orders([](support::disturbance&, jobs& job) {
        try {
            int const winner = weft::race(job(0), job(1), job(2));
            require(winner == job.ended().front() && !job.has_failed(winner), "another one was first");
        } catch (fault const& failure) {
            require(failure.which == job.ended().front(), "another one was first");
        }
        require(job.ended().size() == 3, "one was not waited for");
    });
}

BOOST_AUTO_TEST_CASE(waiting_for_any_of_several_tells_truly) {
    under_many_orders([](support::disturbance& chance, jobs& job) {
        auto fibers = job.spawn(4);
        while (!fibers.empty()) {
            auto const deadline = chance.soon();
            bool const ended_before =
                std::any_of(fibers.begin(), fibers.end(), [](auto const& each) { return each.done(); });
            auto const place = weft::wait_any_until(fibers, deadline);
            if (place) {
                require(fibers[*place].done(), "it has not ended");
                fibers.erase(fibers.begin() + static_cast<std::ptrdiff_t>(*place));
            } else {
                require(weft::clock::now() >= deadline, "it gave up before the deadline");
                require(!ended_before, "one had ended");
            }
        }
    });
}

BOOST_AUTO_TEST_CASE(map_keeps_to_its_limit) {
    under_many_orders([](support::disturbance& chance, jobs& job) {
        std::vector<int> inputs(chance.below(8));
        for (int& each : inputs)
            each = static_cast<int>(chance.below(1000));
        int const limit = 1 + static_cast<int>(chance.below(4));
        try {
            auto const found = weft::map(
                inputs,
                [&](int value) {
                    int const same = job(value)();
                    require(job.alive() < limit, "more at once than the limit");
                    return same;
                },
                static_cast<std::size_t>(limit));
            require(found == inputs && job.none_has_failed(), "the wrong values");
        } catch (fault const& failure) {
            require(job.has_failed(failure.which), "nobody has thrown that");
        }
    });
}
