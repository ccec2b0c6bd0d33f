// connections: what becomes of handlers that throw, of the limit, and of the end.
#include "connections.hpp"

#include <cstdio>
#include <stdexcept>
#include <string>

#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/child.hpp"
#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;
using weft::services::connection;
using weft::services::connections;

// A handler's descriptor is its own.
connections::handler owning(std::function<void(int fd)> body) {
    return [body = std::move(body)](connection& self) {
        support::unique_fd const fd(self.fd());
        body(fd.get());
    };
}

} // namespace

BOOST_AUTO_TEST_CASE(a_handler_that_throws_is_logged_by_name_and_the_others_go_on) {
    auto const result = support::in_child([] {
        return weft::run([] {
            connections all("test", 10);
            auto failing = support::unix_pair();
            auto working = support::unix_pair();
            all.start(failing[1].release(), owning([](int) { throw std::runtime_error("no luck"); }));
            all.start(working[1].release(), owning([](int fd) { ::send(fd, "ok", 2, 0); }));
            bool const served = support::read_exactly(working[0].get(), 2) == "ok";
            bool const closed = support::read_exactly(failing[0].get(), 1).empty();
            return served && closed && all.drain(weft::never) == 0 ? 0 : 1;
        });
    });
    BOOST_TEST(result.exited(0), result.errors);
    BOOST_TEST(result.errors == "weft: test-1: handler failed: no luck\n");
}

BOOST_AUTO_TEST_CASE(at_the_limit_start_waits) {
    weft::run([] {
        connections all("test", 1);
        auto first = support::unix_pair();
        auto second = support::unix_pair();
        auto const read_one = owning([](int fd) { support::read_exactly(fd, 1); });
        all.start(first[1].release(), read_one);
        bool started = false;
        auto loop = weft::spawn([&] {
            all.start(second[1].release(), read_one);
            started = true;
        });
        weft::this_fiber::sleep_for(2ms);
        BOOST_TEST(!started);
        BOOST_TEST(all.count() == 1U);
        ::send(first[0].get(), "x", 1, 0);
        loop.join();
        ::send(second[0].get(), "x", 1, 0);
        BOOST_TEST(all.drain(weft::never) == 0U);
    });
}

BOOST_AUTO_TEST_CASE(drain_closes_the_idle_waits_for_the_busy_and_cuts_the_slow) {
    weft::run([] {
        connections all("test", 10);
        auto idle = support::unix_pair();
        auto busy = support::unix_pair();
        auto slow = support::unix_pair();
        all.start(idle[1].release(), [](connection& self) {
            support::unique_fd const fd(self.fd());
            BOOST_TEST(self.begin_idle());
            support::read_exactly(fd.get(), 1);
            self.end_idle();
            BOOST_TEST(self.draining());
            BOOST_TEST(!self.begin_idle());
        });
        all.start(busy[1].release(), owning([](int fd) {
                      weft::this_fiber::sleep_for(5ms);
                      ::send(fd, "done", 4, 0);
                  }));
        all.start(slow[1].release(), owning([](int fd) { support::read_exactly(fd, 1); }));
        weft::this_fiber::yield();
        BOOST_TEST(all.drain(weft::deadline_after(50ms)) == 1U);
        BOOST_TEST(support::read_exactly(busy[0].get(), 4) == "done");
        BOOST_TEST(all.count() == 0U);
        // Too late: closed at once.
        auto late = support::unix_pair();
        all.start(late[1].release(), owning([](int fd) { ::send(fd, "x", 1, MSG_NOSIGNAL); }));
        BOOST_TEST(support::read_exactly(late[0].get(), 1).empty());
    });
}
