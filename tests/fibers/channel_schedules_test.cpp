// channel, and select over channels, under many orders and on many threads: no value is lost, doubled or overtaken.
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/channel.hpp>
#include <weft/event.hpp>
#include <weft/select.hpp>
#include <weft/this_fiber.hpp>

#include "support/disturbance.hpp"
#include "support/everywhere.hpp"
#include "support/require.hpp"
#include "support/traffic.hpp"

namespace {

using support::require;
using support::traffic;
using values = weft::channel<traffic::value>;
using weft::channel_status;

// In which way, and how long at most, to wait.
enum class way { at_once, until, without_limit };
struct patience {
    way how;
    weft::time_point deadline;
};

void send(traffic& all, values& to, patience limit) {
    auto value = all.make();
    std::size_t const number = *value;
    auto status = channel_status::closed;
    try {
        switch (limit.how) {
        case way::at_once: status = to.try_send(std::move(value)); break;
        case way::until: status = to.send_until(std::move(value), limit.deadline); break;
        case way::without_limit:
            if (to.send(std::move(value)))
                all.sent(number);
            else
                all.lost(number);
            return;
        }
    } catch (...) {
        if (limit.how == way::without_limit)
            all.lost(number);
        else
            all.kept(value);
        throw;
    }
    if (status == channel_status::success) {
        require(value == nullptr, "a value was sent, and kept"); // NOLINT(bugprone-use-after-move)
        all.sent(number);
        return;
    }
    require(status != channel_status::would_wait || limit.how == way::at_once, "sending didn't wait");
    require(status != channel_status::timed_out || weft::clock::now() >= limit.deadline,
            "gave up before the deadline");
    all.kept(value);
}

// False: it is closed, and empty.
bool receive(traffic& all, values& from, patience limit) {
    std::optional<traffic::value> value;
    auto const since = all.begin_receive();
    bool open = true;
    switch (limit.how) {
    case way::at_once: value = from.try_receive(); break;
    case way::until: {
        auto const status = from.receive_until(value, limit.deadline);
        require(status != channel_status::timed_out || weft::clock::now() >= limit.deadline,
                "gave up before the deadline");
        require(value.has_value() == (status == channel_status::success), "the status is wrong");
        open = status != channel_status::closed;
        break;
    }
    case way::without_limit: value = from.receive(); open = value.has_value();
    }
    if (value) {
        all.received(*value, since);
        from.task_done();
    }
    return open;
}

// Receives from, or sends to, one of several channels. False: one is closed.
bool select_any(traffic& all, std::vector<values*> const& channels, weft::event& stop, unsigned kind,
                patience limit) {
    bool open = true;
    auto const since = all.begin_receive();
    auto const received = [&](values& from) {
        return [&, &from = from](std::optional<traffic::value> value) {
            open = value.has_value();
            if (open) {
                all.received(*value, since);
                from.task_done();
            }
        };
    };
    auto value = all.make();
    std::size_t const number = *value;
    bool sent = false;
    auto const sending = [&](bool success) {
        sent = success;
        open = success;
    };
    auto const nothing = [] {};
    values& a = *channels[kind % channels.size()];
    values& b = *channels[kind / 7 % channels.size()]; // perhaps the same
    try {
        switch (kind % 5) {
        case 0:
            weft::select(weft::on_receive(a, received(a)), weft::on_receive(b, received(b)),
                         weft::on_deadline(limit.deadline, nothing), weft::on_set(stop, nothing));
            break;
        case 1:
            weft::select(weft::on_send(a, std::move(value), sending), weft::on_receive(b, received(b)),
                         weft::on_deadline(limit.deadline, nothing));
            break;
        case 2:
            weft::select(weft::on_receive(a, received(a)), weft::on_send(b, std::move(value), sending));
            break;
        case 3:
            weft::select(weft::otherwise(nothing), weft::on_send(a, std::move(value), sending),
                         weft::on_receive(a, received(a)));
            break;
        default: weft::select(weft::on_set(stop, nothing), weft::on_send(a, std::move(value), sending));
        }
    } catch (...) {
        all.lost(number);
        throw;
    }
    if (sent)
        all.sent(number);
    else
        all.lost(number);
    return open;
}

patience draw_patience(support::disturbance& chance) {
    return {.how = static_cast<way>(chance.below(3)), .deadline = chance.soon()};
}

// When no more goes in: what is left in it. All that was sent is out, and done with, then.
void drain(traffic& all, values& from) {
    while (receive(all, from, {.how = way::without_limit, .deadline = weft::never})) {
    }
    require(from.join_until(weft::clock::now()), "something sent was not done");
    require(from.size() == 0, "something is in it that can't be had");
}

} // namespace

BOOST_AUTO_TEST_CASE(no_value_is_lost_in_any_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        values channel(draw.below(3));
        traffic all;
        chance.run(
            6,
            [&](unsigned which) {
                for (int i = 0; i < 4; ++i) {
                    chance.pause();
                    if (which % 2 == 0)
                        send(all, channel, draw_patience(chance));
                    else if (!receive(all, channel, draw_patience(chance)))
                        break;
                    require(channel.size() <= channel.capacity(), "more is in it than fits");
                }
            },
            [&] {
                weft::this_fiber::sleep_for(chance.below(8) * chance.tick);
                channel.close();
            });
        drain(all, channel);
        all.check();
    });
}

BOOST_AUTO_TEST_CASE(peekers_and_joiners_are_told_in_any_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        weft::channel<int> channel(draw.below(3));
        int sent = 0;
        int received = 0;
        int begun = 0;
        chance.run(
            6,
            [&](unsigned which) {
                for (int i = 0; i < 3; ++i) {
                    chance.pause();
                    switch (which) {
                    case 0: {
                        auto const least = received;
                        auto const seen = channel.peek();
                        require(!seen || (*seen >= least && *seen < begun), "seen what is not there");
                        break;
                    }
                    case 1: channel.join(); break;
                    case 2: // the only sender, so that numbers come in order
                    {
                        if (channel.send_until(begun++, chance.soon()) == channel_status::success)
                            ++sent;
                        break;
                    }
                    default:
                        if (channel.receive()) {
                            chance.yield();
                            ++received;
                            channel.task_done();
                        }
                    }
                }
            },
            [&] {
                weft::this_fiber::sleep_for(chance.below(8) * chance.tick);
                channel.close();
                while (channel.try_receive())
                    channel.task_done();
            });
        while (channel.try_receive())
            channel.task_done();
        require(channel.join_until(weft::clock::now()), "something sent was not done");
        require(received <= sent, "more was received than was sent");
    });
}

BOOST_AUTO_TEST_CASE(selects_lose_no_value_in_any_order) {
    weft::testing::for_each_schedule(support::schedules, [](weft::testing::random& draw) {
        support::disturbance chance(draw);
        values one(draw.below(2));
        values two(draw.below(2));
        std::vector<values*> const both{&one, &two};
        weft::event stop;
        traffic all;
        chance.run(
            6,
            [&](unsigned which) {
                for (int i = 0; i < 4; ++i) {
                    chance.pause();
                    if (which < 4)
                        select_any(all, both, stop, draw.below(70), draw_patience(chance));
                    else if (which == 4)
                        send(all, *both[draw.below(2)], draw_patience(chance));
                    else
                        receive(all, *both[draw.below(2)], draw_patience(chance));
                }
            },
            [&] {
                weft::this_fiber::sleep_for(chance.below(6) * chance.tick);
                if (chance.one_in(2))
                    stop.set();
                chance.yield();
                one.close();
                chance.yield();
                two.close();
            });
        drain(all, one);
        drain(all, two);
        all.check_counts();
    });
}

BOOST_AUTO_TEST_CASE(no_value_is_lost_between_workers_and_threads) {
    for (std::size_t const capacity : {0U, 3U}) {
        values one(capacity);
        values two(1);
        std::vector<values*> const both{&one, &two};
        weft::event stop;
        traffic all;
        std::atomic<unsigned> left = 4 * support::workers_everywhere + support::threads_everywhere;
        support::everywhere(4, [&](weft::testing::random& draw) {
            for (unsigned i = 0; i < support::rounds_everywhere / 2; ++i) {
                // Nobody waits for ever, as nobody may be left.
                patience const limit{.how = static_cast<way>(draw.below(2)),
                                     .deadline =
                                         weft::clock::now() + std::chrono::microseconds(draw.below(100))};
                support::maybe_cancelled(draw, [&] {
                    switch (draw.below(3)) {
                    case 0: send(all, *both[draw.below(2)], limit); break;
                    case 1: receive(all, *both[draw.below(2)], limit); break;
                    default: {
                        constexpr unsigned waiting_with_a_limit[] = {0, 1, 3, 5, 6, 8, 10, 21, 25, 35};
                        select_any(all, both, stop, waiting_with_a_limit[draw.below(10)], limit);
                    }
                    }
                });
            }
            if (--left == 0) {
                one.close();
                two.close();
            }
        });
        drain(all, one);
        drain(all, two);
        all.check_counts();
    }
}

BOOST_AUTO_TEST_CASE(peekers_see_what_is_there_between_workers_and_threads) {
    for (std::size_t const capacity : {0U, 2U}) {
        weft::channel<std::string> words(capacity);
        std::string const word(100, 'x'); // on the heap, so that a copy made too late is found
        support::everywhere(4, [&](weft::testing::random& draw) {
            for (unsigned i = 0; i < support::rounds_everywhere / 4; ++i) {
                auto const soon = weft::clock::now() + std::chrono::microseconds(draw.below(50));
                if (draw.below(2) == 0) {
                    words.send_until(std::string(word), soon);
                } else if (weft::this_fiber::id() == 0 || draw.below(3) == 0) {
                    std::optional<std::string> got;
                    words.receive_until(got, soon);
                    require(!got || *got == word, "another value");
                } else {
                    weft::move_on_after(soon, [&] { require(words.peek() == word, "another value"); });
                }
            }
        });
    }
}
