// Closing wakes, and what a number meant before it was closed never reaches what it means afterwards.
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/detail/system_call.hpp>
#include <weft/fiber.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>

#include "support/options.hpp"
#include "support/seed.hpp"
#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;
using support::tcp_pair;
using support::with_workers;

int recv_errno(int fd) {
    char byte = 0;
    return ::recv(fd, &byte, 1, 0) < 0 ? errno : 0;
}

// Takes every free number below `number`, so that the next descriptor gets it.
std::vector<support::unique_fd> fill_below(int number) {
    std::vector<support::unique_fd> fillers;
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) {
        support::unique_fd filler(fd);
        if (fd > number)
            break;
        fillers.push_back(std::move(filler));
    }
    return fillers;
}

} // namespace

BOOST_AUTO_TEST_CASE(close_wakes_every_waiter_with_ebadf) {
    weft::run([] {
        auto pair = tcp_pair();
        int const fd = pair[0].get();
        std::vector<weft::fiber<int>> waiters;
        for (int i = 0; i < 3; ++i)
            waiters.push_back(weft::spawn([fd] { return recv_errno(fd); }));
        waiters.push_back(weft::spawn([fd] {
            std::string const bytes(20'000'000, 'x');
            return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) < static_cast<ssize_t>(bytes.size())
                       ? EBADF
                       : 0;
        }));
        weft::this_fiber::yield();
        weft::this_fiber::yield();
        pair[0].reset();
        for (auto& each : waiters)
            BOOST_TEST(each.get() == EBADF);
        support::listener server;
        auto acceptor =
            weft::spawn([fd2 = server.fd.get()] { return ::accept(fd2, nullptr, nullptr) < 0 ? errno : 0; });
        weft::this_fiber::yield();
        server.fd.reset();
        BOOST_TEST(acceptor.get() == EBADF);
    });
}

BOOST_AUTO_TEST_CASE(close_on_another_worker_or_thread_wakes) {
    weft::run(
        [] {
            for (int round = 0; round < 50; ++round) {
                auto pair = tcp_pair();
                weft::semaphore waiting(0);
                auto waiter = weft::spawn([&, fd = pair[0].get()] {
                    waiting.release();
                    return recv_errno(fd);
                });
                waiting.acquire();
                if (round % 2 == 0)
                    weft::post(1, [fd = pair[0].release()] { ::close(fd); });
                else
                    std::thread([fd = pair[0].release()] { ::close(fd); }).join();
                BOOST_TEST(waiter.get() == EBADF);
            }
        },
        with_workers(2));
}

BOOST_AUTO_TEST_CASE(shutdown_wakes) {
    weft::run([] {
        auto pair = tcp_pair();
        auto waiter = weft::spawn([fd = pair[0].get()] {
            char byte = 0;
            return ::recv(fd, &byte, 1, 0);
        });
        weft::this_fiber::yield();
        ::shutdown(pair[0].get(), SHUT_RDWR);
        BOOST_TEST(waiter.get() == 0);
        support::listener server;
        auto acceptor =
            weft::spawn([fd = server.fd.get()] { return ::accept(fd, nullptr, nullptr) < 0 ? errno : 0; });
        weft::this_fiber::yield();
        ::shutdown(server.fd.get(), SHUT_RDWR);
        BOOST_TEST(acceptor.get() == EINVAL);
    });
}

// The number is closed and given out again before the woken fiber gets to run: it must not read the new file.
BOOST_AUTO_TEST_CASE(a_waiter_does_not_read_from_the_next_owner_of_its_number) {
    weft::run([] {
        auto old_pair = tcp_pair();
        auto new_pair = tcp_pair();
        int const number = old_pair[0].get();
        auto const fillers = fill_below(number);
        auto waiter = weft::spawn([number] { return recv_errno(number); });
        weft::this_fiber::yield();
        ::send(new_pair[1].get(), "secret", 6, 0);
        old_pair[0].reset();
        BOOST_REQUIRE(::dup(new_pair[0].get()) == number);
        support::unique_fd const reused(number);
        BOOST_TEST(waiter.get() == EBADF);
        BOOST_TEST(support::read_exactly(number, 6) == "secret");
    });
}

BOOST_AUTO_TEST_CASE(dup2_over_a_waited_number_wakes) {
    weft::run([] {
        auto old_pair = tcp_pair();
        auto new_pair = tcp_pair();
        auto waiter = weft::spawn([fd = old_pair[0].get()] { return recv_errno(fd); });
        weft::this_fiber::yield();
        BOOST_TEST(::dup2(new_pair[0].get(), old_pair[0].get()) == old_pair[0].get());
        BOOST_TEST(waiter.get() == EBADF);
        // The new meaning works, and a failing dup2 closes nothing.
        auto reader = weft::spawn([fd = old_pair[0].get()] { return support::read_exactly(fd, 2); });
        weft::this_fiber::yield();
        BOOST_TEST(::dup2(-1, old_pair[0].get()) == -1);
        BOOST_TEST(::dup2(old_pair[0].get(), old_pair[0].get()) == old_pair[0].get());
        ::send(new_pair[1].get(), "ok", 2, 0);
        BOOST_TEST(reader.get() == "ok");
    });
}

BOOST_AUTO_TEST_CASE(close_range_and_fclose_are_noticed) {
    weft::run([] {
        auto pair = tcp_pair();
        int const high = ::fcntl(pair[0].get(), F_DUPFD, 500);
        auto waiter = weft::spawn([high] { return recv_errno(high); });
        weft::this_fiber::yield();
        ::close_range(500, 600, 0);
        BOOST_TEST(waiter.get() == EBADF);

        auto other = tcp_pair();
        int const number = other[0].get();
        FILE* const stream = ::fdopen(other[0].release(), "r+");
        auto second = weft::spawn([number] { return recv_errno(number); });
        weft::this_fiber::yield();
        ::fclose(stream);
        BOOST_TEST(second.get() == EBADF);
        // The number's next life begins with a clean record.
        auto fresh = tcp_pair();
        auto reader = weft::spawn([&] { return support::read_exactly(fresh[0].get(), 2); });
        weft::this_fiber::yield();
        ::send(fresh[1].get(), "ok", 2, 0);
        BOOST_TEST(reader.get() == "ok");
    });
}

// A duplicate keeps the file open, and its registration in epoll alive, when the number is closed and used again.
BOOST_AUTO_TEST_CASE(events_of_a_duplicated_file_do_not_reach_the_next_owner) {
    weft::run([] {
        auto pair = tcp_pair();
        int const number = pair[0].get();
        auto waiter = weft::spawn([number] { return recv_errno(number); });
        weft::this_fiber::yield();
        support::unique_fd const duplicate(::dup(number));
        auto const fillers = fill_below(number);
        pair[0].reset();
        BOOST_TEST(waiter.get() == EBADF);
        auto next = support::unix_pair();
        support::unique_fd const& reused = next[0];
        BOOST_REQUIRE(reused.get() == number);
        auto reader = weft::spawn([&] { return support::read_exactly(reused.get(), 2); });
        weft::this_fiber::yield();
        ::send(pair[1].get(), "old", 3, 0);
        weft::this_fiber::sleep_for(1ms);
        ::send(next[1].get(), "ok", 2, 0);
        BOOST_TEST(reader.get() == "ok");
        BOOST_TEST(support::read_exactly(duplicate.get(), 3) == "old");
    });
}

// Two workers open, use and close descriptors at random, closing each other's; every wait ends, none on the wrong file.
BOOST_AUTO_TEST_CASE(random_closing_across_workers_loses_nobody) {
    support::seeded random;
    std::atomic<int> wrong = 0;
    std::atomic<int> ended = 0;
    constexpr int fibers = 8;
    constexpr int rounds = 150;
    weft::run(
        [&] {
            for (int f = 0; f < fibers; ++f)
                weft::post(static_cast<std::size_t>(f) % 2, [&, seed = random.below(1'000'000)] {
                    std::mt19937 engine(seed);
                    for (int i = 0; i < rounds; ++i) {
                        auto pair = support::unix_pair(); // TCP would run out of ports
                        auto const tag = static_cast<char>('a' + engine() % 26);
                        weft::semaphore read(0);
                        int const fd = pair[0].get();
                        auto reader = weft::spawn([&, fd] {
                            char byte = 0;
                            ssize_t const n = ::recv(fd, &byte, 1, 0);
                            if (n == 1 && byte != tag)
                                ++wrong;
                            read.release();
                        });
                        auto const how = engine() % 3;
                        // Closed before the reader waits, the number could be anyone's by the time it reads.
                        if (how == 1 || engine() % 2 == 0)
                            weft::this_fiber::yield();
                        switch (how) {
                        case 0: ::send(pair[1].get(), &tag, 1, MSG_NOSIGNAL); break;
                        case 1:
                            weft::post(engine() % 2, [number = pair[0].release()] { ::close(number); });
                            break;
                        default: pair[1].reset(); break;
                        }
                        read.acquire();
                        reader.join();
                    }
                    ++ended;
                });
        },
        with_workers(2));
    BOOST_TEST(wrong == 0, "seed " << random.seed());
    BOOST_TEST(ended == fibers);
}

// By the instruction itself, which nothing can stand before. The engine finds out, in half a second or so.
BOOST_AUTO_TEST_CASE(a_close_behind_our_back_ends_waits) {
    weft::run([] {
        auto pair = support::tcp_pair();
        auto other = support::tcp_pair();
        int const fd = pair[0].get();
        char byte = 0;
        auto reader = weft::spawn([&] {
            BOOST_TEST(::recv(fd, &byte, 1, 0) == -1);
            BOOST_TEST(errno == EBADF);
        });
        auto poller = weft::spawn([&] {
            pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
            return ::poll(&one, 1, -1);
        });
        weft::this_fiber::yield();
        // Another connection has the number now, and its bytes are not for who waited for the old one's.
        weft::detail::system_call(SYS_dup3, other[0].get(), fd, 0);
        ::send(other[1].get(), "x", 1, 0);
        reader.join();
        BOOST_TEST(poller.get() == 1);
        BOOST_TEST(byte == 0);
        BOOST_TEST(::recv(fd, &byte, 1, 0) == 1);
        BOOST_TEST(byte == 'x');
    });
}
