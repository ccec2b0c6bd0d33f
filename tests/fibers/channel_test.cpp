// channel: values in order, room, closing, peeking, joining.
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
#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>

#include "support/messages.hpp"

namespace {

using namespace std::chrono_literals;
using weft::channel_status;

// For BOOST_TEST.
bool is(channel_status one, channel_status other) { return one == other; }

} // namespace

BOOST_AUTO_TEST_CASE(values_come_out_as_they_went_in) {
    weft::run([] {
        for (std::size_t const capacity : {0U, 1U, 3U, 100U}) {
            weft::channel<int> numbers(capacity, "numbers");
            BOOST_TEST(numbers.capacity() == capacity);
            BOOST_TEST(numbers.name() == std::string("numbers"));
            auto sender = weft::spawn([&] {
                for (int i = 0; i < 50; ++i) {
                    BOOST_TEST(numbers.send(i));
                    BOOST_TEST(numbers.size() <= capacity);
                }
                numbers.close();
            });
            std::vector<int> got;
            for (int const& each : numbers)
                got.push_back(each);
            BOOST_REQUIRE(got.size() == 50);
            for (int i = 0; i < 50; ++i)
                BOOST_TEST(got[static_cast<std::size_t>(i)] == i);
            BOOST_TEST(!numbers.receive());
        }
    });
}

BOOST_AUTO_TEST_CASE(the_sender_waits_while_it_is_full) {
    weft::run([] {
        weft::channel<int> numbers(2);
        int sent = 0;
        auto sender = weft::spawn([&] {
            for (int i = 0; i < 4; ++i) {
                numbers.send(i);
                ++sent;
            }
        });
        weft::this_fiber::yield();
        BOOST_TEST(sent == 2);
        BOOST_TEST(numbers.size() == 2);
        BOOST_TEST(is(numbers.try_send(9), channel_status::would_wait));
        BOOST_TEST(numbers.try_receive().value() == 0);
        BOOST_TEST(numbers.size() == 2); // the waiting one's value went in at once
        weft::this_fiber::yield();
        BOOST_TEST(sent == 3);
        for (int i = 1; i < 4; ++i)
            BOOST_TEST(numbers.receive().value() == i);
        BOOST_TEST(!numbers.try_receive());
    });
}

BOOST_AUTO_TEST_CASE(without_room_sender_and_receiver_meet) {
    weft::run([] {
        weft::channel<int> numbers(0);
        BOOST_TEST(is(numbers.try_send(1), channel_status::would_wait));
        bool sent = false;
        auto sender = weft::spawn([&] {
            numbers.send(1);
            sent = true;
        });
        weft::this_fiber::yield();
        BOOST_TEST(!sent);
        BOOST_TEST(numbers.size() == 0);
        BOOST_TEST(numbers.try_receive().value() == 1);
        sender.join();
        auto receiver = weft::spawn([&] { return numbers.receive().value(); });
        weft::this_fiber::yield();
        BOOST_TEST(is(numbers.try_send(2), channel_status::success));
        BOOST_TEST(receiver.get() == 2);
    });
}

BOOST_AUTO_TEST_CASE(those_who_wait_are_served_in_turn) {
    weft::run([] {
        weft::channel<int> numbers(0);
        std::vector<int> order;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < 3; ++i)
            fibers.push_back(weft::spawn([&, i] { numbers.send(i); }));
        weft::this_fiber::yield();
        for (int i = 0; i < 3; ++i)
            order.push_back(numbers.receive().value());
        for (int i = 3; i < 6; ++i)
            fibers.push_back(weft::spawn([&] { order.push_back(numbers.receive().value()); }));
        weft::this_fiber::yield();
        for (int i = 3; i < 6; ++i)
            numbers.send(i);
        fibers.clear();
        BOOST_TEST(order == (std::vector<int>{0, 1, 2, 3, 4, 5}), boost::test_tools::per_element());
    });
}

BOOST_AUTO_TEST_CASE(closing_ends_what_waits_and_leaves_what_is_in) {
    weft::run([] {
        weft::channel<std::unique_ptr<int>> full(1);
        full.send(std::make_unique<int>(1));
        auto sender = weft::spawn([&] {
            auto value = std::make_unique<int>(2);
            auto const status = full.send_until(std::move(value), weft::never);
            return is(status, channel_status::closed) && value != nullptr;
        });
        auto thrown_away = weft::spawn([&] { return full.send(std::make_unique<int>(3)); });
        weft::this_fiber::yield();
        full.close();
        full.close();
        BOOST_TEST(full.is_closed());
        BOOST_TEST(sender.get());
        BOOST_TEST(!thrown_away.get());
        auto value = std::make_unique<int>(4);
        BOOST_TEST(is(full.try_send(std::move(value)), channel_status::closed));
        BOOST_TEST((value != nullptr)); // NOLINT(bugprone-use-after-move): that is what it says
        BOOST_TEST(*full.receive().value() == 1);
        BOOST_TEST(!full.receive());
        BOOST_TEST(!full.try_receive());
        std::optional<std::unique_ptr<int>> none(std::make_unique<int>(5));
        BOOST_TEST(is(full.receive_for(none, 1h), channel_status::closed));
        BOOST_TEST(!none.has_value());

        weft::channel<int> empty(1);
        auto receiver = weft::spawn([&] { return empty.receive(); });
        auto peeker = weft::spawn([&] { return empty.peek(); });
        auto joiner = weft::spawn([&] { empty.join(); }); // nothing was ever sent
        weft::this_fiber::yield();
        BOOST_TEST(joiner.done());
        empty.close();
        BOOST_TEST(!receiver.get());
        BOOST_TEST(!peeker.get());
        BOOST_TEST(!empty.peek());
    });
}

BOOST_AUTO_TEST_CASE(values_that_nobody_received_end_with_the_channel) {
    struct recorded {
        recorded(int number, std::vector<int>& ended) : which(number), record(&ended) {}
        recorded(recorded&& other) noexcept
            : which(other.which), record(std::exchange(other.record, nullptr)) {}
        ~recorded() {
            if (record != nullptr)
                record->push_back(which);
        }
        int which;
        std::vector<int>* record; // null: moved from
    };
    for (int const taken : {0, 1, 3}) { // so that what is left doesn't begin at the first place
        std::vector<int> ended;
        {
            weft::channel<recorded> values(4);
            for (int i = 0; i < taken + 3; ++i) {
                BOOST_TEST(values.send(recorded(i, ended)));
                if (i < taken)
                    BOOST_TEST(values.receive().value().which == i);
            }
        }
        BOOST_TEST(ended.size() == static_cast<std::size_t>(taken) + 3);
        for (std::size_t i = 0; i < ended.size(); ++i)
            BOOST_TEST(ended[i] == static_cast<int>(i));
    }
}

BOOST_AUTO_TEST_CASE(timed_calls_say_truly_why_they_returned) {
    weft::testing::virtual_clock const clock;
    weft::run([&] {
        weft::channel<std::unique_ptr<int>> values(1);
        std::optional<std::unique_ptr<int>> got;
        BOOST_TEST(is(values.receive_for(got, 1ms), channel_status::timed_out));
        auto value = std::make_unique<int>(1);
        BOOST_TEST(is(values.send_for(std::move(value), 1ms), channel_status::success));
        value = std::make_unique<int>(2);
        BOOST_TEST(is(values.send_for(std::move(value), 1ms), channel_status::timed_out));
        BOOST_TEST((value != nullptr)); // NOLINT(bugprone-use-after-move): as above
        BOOST_TEST((clock.elapsed() == 2ms));
        auto receiver = weft::spawn([&] {
            weft::this_fiber::sleep_for(1ms);
            return values.receive();
        });
        BOOST_TEST(is(values.send_for(std::move(value), 2ms), channel_status::success));
        BOOST_TEST((clock.elapsed() == 3ms));
        BOOST_TEST(*receiver.get().value() == 1);
        BOOST_TEST(is(values.receive_until(got, weft::clock::now() - 1s), channel_status::success));
        BOOST_TEST(**got == 2);
    });
}

BOOST_AUTO_TEST_CASE(a_cancelled_call_has_sent_or_received_nothing) {
    weft::run([] {
        weft::channel<std::unique_ptr<int>> values(0);
        auto value = std::make_unique<int>(1);
        auto sender = weft::spawn([&] { values.send_until(std::move(value), weft::never); });
        weft::this_fiber::yield();
        sender.cancel();
        BOOST_CHECK_THROW(sender.get(), weft::fiber_cancelled);
        BOOST_TEST((value != nullptr)); // NOLINT(bugprone-use-after-move): as above
        BOOST_TEST(!values.try_receive());
        auto receiver = weft::spawn([&] { values.receive(); });
        weft::this_fiber::yield();
        receiver.cancel();
        BOOST_CHECK_THROW(receiver.get(), weft::fiber_cancelled);
        BOOST_TEST(is(values.try_send(std::move(value)), channel_status::would_wait));
        // Handed over before the cancellation, it counts.
        auto lucky = weft::spawn([&] { return *values.receive().value(); });
        weft::this_fiber::yield();
        BOOST_TEST(is(values.try_send(std::move(value)), channel_status::success));
        lucky.cancel();
        BOOST_TEST(lucky.try_get().value() == 1);
        // Those that are cancelled before they wait.
        weft::cancel_scope scope;
        scope.cancel();
        BOOST_CHECK_THROW(values.send(nullptr), weft::cancelled);
        BOOST_CHECK_THROW(values.receive(), weft::cancelled);
        BOOST_CHECK_THROW(values.join(), weft::cancelled);
        BOOST_TEST(!values.try_receive());
    });
}

BOOST_AUTO_TEST_CASE(peeking_leaves_the_value_there) {
    weft::run([] {
        for (std::size_t const capacity : {0U, 1U, 2U}) {
            weft::channel<std::string> words(capacity);
            std::vector<weft::fiber<std::optional<std::string>>> peekers;
            for (int i = 0; i < 3; ++i)
                peekers.push_back(weft::spawn([&] { return words.peek(); }));
            weft::this_fiber::yield();
            auto sender = weft::spawn([&] { words.send("first"); });
            for (auto& each : peekers)
                BOOST_TEST(each.get().value() == "first");
            BOOST_TEST(words.peek().value() == "first");
            BOOST_TEST(words.receive().value() == "first");
            BOOST_TEST(!words.try_receive());
        }
        // Taken before a peeker that was woken runs: it goes on waiting.
        weft::channel<std::string> words(1);
        auto peeker = weft::spawn([&] { return words.peek(); });
        weft::this_fiber::yield();
        words.send("gone");
        BOOST_TEST(words.try_receive().value() == "gone");
        weft::this_fiber::yield();
        BOOST_TEST(!peeker.done());
        words.send("stays");
        BOOST_TEST(peeker.get().value() == "stays");
    });
}

BOOST_AUTO_TEST_CASE(a_copy_that_throws_leaves_the_channel_as_it_was) {
    struct dear {
        dear() = default;
        dear(dear const& /*other*/) { throw std::bad_alloc(); }
        dear(dear&&) noexcept = default;
    };
    weft::channel<dear> values(1);
    values.send(dear());
    BOOST_CHECK_THROW(values.peek(), std::bad_alloc);
    BOOST_TEST(values.size() == 1);
    BOOST_TEST(values.try_receive().has_value());
}

BOOST_AUTO_TEST_CASE(join_waits_for_all_that_was_sent) {
    weft::testing::virtual_clock const clock;
    weft::run([&] {
        weft::channel<int> jobs(1, "jobs");
        auto const too_often = support::says("weft::channel \"jobs\": task_done() called more often");
        BOOST_CHECK_EXCEPTION(jobs.task_done(), std::logic_error, too_often);
        auto feeder = weft::spawn([&] {
            for (int i = 0; i < 3; ++i)
                jobs.send(i);
        });
        weft::this_fiber::yield();
        BOOST_CHECK_EXCEPTION(jobs.task_done(), std::logic_error, too_often); // none received yet
        BOOST_TEST(!jobs.join_for(1ms));
        auto joiner = weft::spawn([&] { jobs.join(); });
        auto worker = weft::spawn([&] {
            for (int i = 0; i < 3; ++i) {
                jobs.receive();
                weft::this_fiber::sleep_for(1ms);
                jobs.task_done();
            }
        });
        joiner.join();
        BOOST_TEST((clock.elapsed() == 4ms));
        BOOST_CHECK_EXCEPTION(jobs.task_done(), std::logic_error, too_often);
        jobs.join();
        // Closing is no substitute for the work.
        jobs.send(4);
        jobs.close();
        BOOST_TEST(!jobs.join_for(1ms));
        jobs.receive();
        jobs.task_done();
        jobs.join();
    });
}

BOOST_AUTO_TEST_CASE(values_need_neither_copies_nor_assignment) {
    struct fixed {
        int const number;
        std::unique_ptr<int> own;
    };
    weft::run([] {
        weft::channel<fixed> values(2);
        auto sender = weft::spawn([&] {
            for (int i = 0; i < 5; ++i)
                values.send({.number = i, .own = nullptr});
            values.close();
        });
        int expected = 0;
        for (fixed const& each : values)
            BOOST_TEST(each.number == expected++);
        BOOST_TEST(expected == 5);
    });
}

BOOST_AUTO_TEST_CASE(works_on_plain_threads) {
    weft::channel<int> there(0);
    weft::channel<int> back(1);
    std::thread echo([&] {
        for (int const& each : there)
            back.send(each + 1);
        back.close();
    });
    std::optional<int> none;
    BOOST_TEST(is(back.receive_for(none, 1ms), channel_status::timed_out));
    for (int i = 0; i < 1000; ++i) {
        there.send(i);
        BOOST_TEST(back.receive().value() == i + 1);
    }
    there.close();
    BOOST_TEST(!back.receive());
    echo.join();
}
