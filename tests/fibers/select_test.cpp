// select: one case is done, and only one.
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/channel.hpp>
#include <weft/event.hpp>
#include <weft/fiber.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/select.hpp>
#include <weft/testing/random_order.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>

#include "support/options.hpp"

namespace {

using namespace std::chrono_literals;
using weft::on_deadline;
using weft::on_receive;
using weft::on_send;
using weft::on_set;
using weft::on_timeout;
using weft::otherwise;
using weft::select;

auto const nothing = [] {};
auto const ignored = [](auto&&) {};
// For cases that must not be done.
auto const wrong = [](auto&&...) { BOOST_TEST(false, "another case was done"); };

} // namespace

BOOST_AUTO_TEST_CASE(does_what_can_be_done_at_once) {
    weft::run([] {
        weft::channel<int> empty(1);
        weft::channel<int> full(1);
        weft::event set;
        full.send(1);
        int got = 0;
        BOOST_TEST(select(on_receive(empty, wrong),
                          on_receive(full, [&](std::optional<int> value) { got = value.value(); })) == 1);
        BOOST_TEST(got == 1);
        bool sent = false;
        BOOST_TEST(select(on_receive(empty, wrong), on_set(set, wrong),
                          on_send(full, 2, [&](bool success) { sent = success; })) == 2);
        BOOST_TEST(sent);
        BOOST_TEST(full.size() == 1);
        set.set();
        BOOST_TEST(select(on_set(set, nothing), on_send(full, 3, wrong)) == 0);
        BOOST_TEST(full.receive().value() == 2);
        BOOST_TEST(!full.try_receive());
        BOOST_TEST(select(on_send(full, 4, nothing)) == 0); // function(), too
    });
}

BOOST_AUTO_TEST_CASE(waits_for_the_first) {
    weft::testing::virtual_clock const clock;
    weft::run([&] {
        weft::channel<int> one(0);
        weft::channel<int> two(0);
        weft::event stop;
        auto const after = [](auto what) {
            return weft::spawn([what] {
                weft::this_fiber::sleep_for(1ms);
                what();
            });
        };
        {
            auto sender = after([&] { two.send(7); });
            int got = 0;
            BOOST_TEST(select(on_receive(one, wrong), on_set(stop, wrong), on_timeout(2ms, wrong),
                              on_receive(two, [&](std::optional<int> value) { got = value.value(); })) == 3);
            BOOST_TEST(got == 7);
        }
        {
            auto receiver = after([&] { BOOST_TEST(one.receive().value() == 8); });
            BOOST_TEST(select(on_receive(two, wrong), on_send(one, 8, [](bool sent) { BOOST_TEST(sent); })) ==
                       1);
        }
        {
            auto setter = after([&] { stop.set(); });
            BOOST_TEST(select(on_receive(two, wrong), on_set(stop, nothing)) == 1);
            stop.clear();
        }
        {
            auto closer = after([&] { two.close(); });
            bool closed = false;
            BOOST_TEST(select(on_receive(one, wrong),
                              on_receive(two, [&](std::optional<int> value) { closed = !value; })) == 1);
            BOOST_TEST(closed);
        }
        {
            auto closer = after([&] { one.close(); });
            bool sent = true;
            BOOST_TEST(select(on_set(stop, wrong), on_send(one, 9, [&](bool done) { sent = done; })) == 1);
            BOOST_TEST(!sent);
        }
        BOOST_TEST((clock.elapsed() == 5ms));
        // Nobody is left in line.
        BOOST_TEST(!stop.wait_for(0s));
        weft::channel<int> three(0);
        select(on_receive(three, wrong), on_send(three, 1, wrong), on_timeout(1ms, nothing));
        BOOST_TEST((three.try_send(1) == weft::channel_status::would_wait));
        BOOST_TEST(!three.try_receive());
    });
}

BOOST_AUTO_TEST_CASE(closed_channels_are_ready) {
    weft::run([] {
        weft::channel<std::string> closed(2);
        closed.send("last");
        closed.close();
        std::optional<std::string> got;
        auto const keep = [&](std::optional<std::string> value) { got = std::move(value); };
        select(on_receive(closed, keep), on_timeout(1h, wrong));
        BOOST_TEST(got.value() == "last");
        select(on_receive(closed, keep), otherwise(wrong));
        BOOST_TEST(!got);
        bool sent = true;
        select(on_send(closed, "more", [&](bool done) { sent = done; }), otherwise(wrong));
        BOOST_TEST(!sent);
    });
}

BOOST_AUTO_TEST_CASE(the_earliest_deadline_counts_and_otherwise_is_no_wait) {
    weft::testing::virtual_clock const clock;
    weft::run([&] {
        weft::channel<int> empty(0);
        BOOST_TEST(select(on_timeout(3ms, wrong), on_receive(empty, wrong), on_timeout(1ms, nothing),
                          on_deadline(weft::never, wrong)) == 2);
        BOOST_TEST((clock.elapsed() == 1ms));
        BOOST_TEST(select(on_deadline(weft::clock::now() - 1s, nothing), on_receive(empty, wrong)) == 0);
        BOOST_TEST(select(on_timeout(1ms, wrong), otherwise(nothing), on_receive(empty, wrong),
                          on_send(empty, 1, wrong)) == 1);
        BOOST_TEST((clock.elapsed() == 1ms));
        BOOST_TEST(select(on_timeout(1ms, nothing)) == 0);
    });
}

BOOST_AUTO_TEST_CASE(the_same_channel_may_be_there_twice) {
    weft::run([] {
        weft::channel<int> channel(0);
        int got = 0;
        auto const add = [&](std::optional<int> value) { got += value.value(); };
        auto const twice = [&] {
            return weft::spawn([&] { return select(on_receive(channel, add), on_receive(channel, add)); });
        };
        auto one = twice();
        auto two = twice();
        weft::this_fiber::yield();
        channel.send(5);
        channel.send(6); // to the other one
        one.join();
        two.join();
        BOOST_TEST(got == 11);
        BOOST_TEST((channel.try_send(7) == weft::channel_status::would_wait));
        // Sending and receiving, it doesn't meet itself, ...
        auto both_ways = [&] {
            return weft::spawn([&] {
                return select(on_send(channel, 1, [](bool sent) { BOOST_TEST(sent); }),
                              on_receive(channel, [](std::optional<int> value) { BOOST_TEST(*value == 1); }));
            });
        };
        auto here = both_ways();
        weft::this_fiber::yield();
        BOOST_TEST(!here.done());
        // ... but another one that does the same.
        auto there = both_ways();
        BOOST_TEST(here.get() + there.get() == 1);
    });
}

BOOST_AUTO_TEST_CASE(who_selects_waits_in_line_with_the_others) {
    weft::run([] {
        weft::channel<int> channel(0);
        weft::channel<int> other(0);
        std::vector<int> order(4);
        auto const plain = [&](int turn) {
            return weft::spawn(
                [&, turn] { order[static_cast<std::size_t>(channel.receive().value())] = turn; });
        };
        auto const selecting = [&](int turn) {
            return weft::spawn([&, turn] {
                select(on_receive(other, wrong), on_receive(channel, [&](std::optional<int> value) {
                           order[static_cast<std::size_t>(value.value())] = turn;
                       }));
            });
        };
        auto a = plain(0);
        auto b = selecting(1);
        auto c = plain(2);
        auto d = selecting(3);
        weft::this_fiber::yield();
        for (int i = 0; i < 4; ++i)
            channel.send(i);
        for (weft::fiber<>* const each : {&a, &b, &c, &d})
            each->join();
        BOOST_TEST(order == (std::vector<int>{0, 1, 2, 3}), boost::test_tools::per_element());
    });
}

BOOST_AUTO_TEST_CASE(a_waiting_send_can_be_peeked_at) {
    weft::run([] {
        weft::channel<int> channel(0);
        auto peeker = weft::spawn([&] { return channel.peek(); });
        weft::this_fiber::yield();
        auto sender = weft::spawn([&] { select(on_send(channel, 5, nothing), on_timeout(1h, wrong)); });
        BOOST_TEST(peeker.get().value() == 5);
        BOOST_TEST(channel.receive().value() == 5);
    });
}

BOOST_AUTO_TEST_CASE(all_that_is_ready_is_chosen_sometimes) {
    weft::run([] {
        weft::channel<int> channel(100);
        weft::event set;
        set.set();
        std::array<int, 3> chosen{};
        for (int i = 0; i < 300; ++i) {
            channel.try_send(1);
            ++chosen[select(on_receive(channel, ignored), on_set(set, nothing),
                            on_send(channel, 1, nothing))];
        }
        for (int const each : chosen)
            BOOST_TEST(each > 30);
    });
}

// ... also if others stand between them that are not.
BOOST_AUTO_TEST_CASE(all_that_is_ready_is_chosen_alike) {
    weft::run([] {
        weft::event set;
        weft::event never_set;
        set.set();
        std::array<int, 5> chosen{};
        for (int i = 0; i < 1000; ++i)
            ++chosen[select(on_set(set, nothing), on_set(set, nothing), on_set(never_set, wrong),
                            on_set(never_set, wrong), on_set(never_set, wrong))];
        BOOST_TEST(chosen[0] > 400);
        BOOST_TEST(chosen[1] > 400);
    });
}

// weft::testing::random_order promises that a seed decides everything.
BOOST_AUTO_TEST_CASE(a_seed_decides_the_choice) {
    auto const choices = [](std::uint64_t seed) {
        weft::testing::random_order const order(seed);
        std::string made;
        weft::run([&] {
            weft::event set;
            set.set();
            for (int i = 0; i < 20; ++i)
                made += static_cast<char>('0' + select(on_set(set, nothing), on_set(set, nothing)));
        });
        return made;
    };
    BOOST_TEST(choices(1) == choices(1));
    BOOST_TEST(choices(1) != choices(2));
}

BOOST_AUTO_TEST_CASE(cancelled_it_has_done_nothing) {
    weft::run([] {
        weft::channel<std::unique_ptr<int>> channel(0);
        weft::event stop;
        auto const selecting = [&] {
            return weft::spawn([&] {
                return select(on_send(channel, std::make_unique<int>(1), nothing),
                              on_receive(channel, ignored), on_set(stop, nothing), on_timeout(1h, wrong));
            });
        };
        auto one = selecting();
        weft::this_fiber::yield();
        one.cancel();
        BOOST_CHECK_THROW(one.get(), weft::fiber_cancelled);
        BOOST_TEST(!channel.try_receive());
        BOOST_TEST((channel.try_send(nullptr) == weft::channel_status::would_wait));
        // Done before the cancellation, it counts.
        auto two = selecting();
        weft::this_fiber::yield();
        BOOST_TEST(channel.try_receive().has_value());
        two.cancel();
        BOOST_TEST(two.try_get().value() == 0);
        weft::cancel_scope scope;
        scope.cancel();
        stop.set();
        BOOST_CHECK_THROW(select(on_set(stop, wrong), otherwise(wrong)), weft::cancelled);
    });
}

BOOST_AUTO_TEST_CASE(the_function_may_throw_wait_and_use_the_channel) {
    weft::run([] {
        weft::channel<int> channel(1);
        channel.send(1);
        BOOST_CHECK_THROW(select(on_receive(channel, [](auto&&) { throw std::out_of_range("x"); })),
                          std::out_of_range);
        BOOST_TEST(channel.size() == 0);
        int got = 0;
        channel.send(2);
        select(on_receive(channel, [&](std::optional<int> value) {
            channel.send(*value + 1);
            weft::this_fiber::yield();
            select(on_receive(channel, [&](std::optional<int> next) { got = *next; }));
        }));
        BOOST_TEST(got == 3);
    });
}

BOOST_AUTO_TEST_CASE(two_selects_meet_between_threads_and_workers) {
    weft::channel<int> there(0);
    weft::channel<int> back(0);
    weft::event stop;
    constexpr int count = 2000;
    auto const work = [&](weft::channel<int>& from, weft::channel<int>& to, int sends) {
        int received = 0;
        int sent = 0;
        while (received < count || sent < sends) {
            if (sent < sends)
                select(on_receive(from, [&](auto&&) { ++received; }), on_send(to, 1, [&](bool) { ++sent; }),
                       on_timeout(10s, wrong), on_set(stop, wrong));
            else
                select(on_set(stop, wrong), on_receive(from, [&](auto&&) { ++received; }));
        }
    };
    std::thread one([&] { work(there, back, count); });
    std::thread two([&] { work(back, there, count); });
    one.join();
    two.join();
    weft::run(
        [&] {
            weft::post(1, [&] { work(there, back, count); });
            work(back, there, count);
        },
        support::with_workers(2));
    BOOST_TEST(select(on_receive(there, wrong), on_timeout(1ms, nothing)) == 1);
    BOOST_TEST(select(on_receive(there, wrong), otherwise(nothing)) == 1);
}
