// poll and select on fibers.
#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>

#include <cerrno>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;

pollfd wants(int fd, short events) { return {.fd = fd, .events = events, .revents = 0}; }

} // namespace

BOOST_AUTO_TEST_CASE(poll_waits_for_any_of_many) {
    weft::run([] {
        std::vector<support::pair_of_fds> pairs;
        std::vector<pollfd> fds;
        for (int i = 0; i < 20; ++i) {
            pairs.push_back(support::tcp_pair());
            fds.push_back(wants(pairs.back()[0].get(), POLLIN));
        }
        fds.push_back(wants(-1, POLLIN)); // ignored
        for (int round = 0; round < 3; ++round) {
            auto sender = weft::spawn([&] {
                weft::this_fiber::sleep_for(1ms);
                ::send(pairs[7][1].get(), "x", 1, 0);
            });
            BOOST_TEST(::poll(fds.data(), fds.size(), -1) == 1);
            BOOST_TEST(fds[7].revents == POLLIN);
            support::read_exactly(pairs[7][0].get(), 1);
            sender.join();
        }
        BOOST_TEST(::poll(fds.data(), fds.size(), 0) == 0);
        auto const start = weft::clock::now();
        BOOST_TEST(::poll(fds.data(), fds.size(), 10) == 0);
        BOOST_TEST((weft::clock::now() - start >= 10ms));
        BOOST_TEST(::poll(nullptr, 0, 1) == 0);
    });
}

BOOST_AUTO_TEST_CASE(poll_reports_errors_hang_ups_and_urgent_data) {
    weft::run([] {
        auto pair = support::tcp_pair();
        pollfd one = wants(pair[0].get(), POLLIN | POLLPRI | POLLRDHUP);
        auto urgent = weft::spawn([&] { ::send(pair[1].get(), "!", 1, MSG_OOB); });
        BOOST_TEST(::poll(&one, 1, 5000) == 1);
        BOOST_TEST((one.revents & POLLPRI) != 0);
        char byte = 0;
        ::recv(pair[0].get(), &byte, 1, MSG_OOB);
        auto closer = weft::spawn([&] { pair[1].reset(); });
        one.events = POLLRDHUP;
        BOOST_TEST(::poll(&one, 1, 5000) == 1);
        BOOST_TEST((one.revents & POLLRDHUP) != 0);
        pollfd bad = wants(1 << 20, POLLIN);
        BOOST_TEST(::poll(&bad, 1, -1) == 1);
        BOOST_TEST(bad.revents == POLLNVAL);
        // Nothing asked for: still told of a hang-up.
        auto pipe = support::pipe_pair();
        pollfd silent = wants(pipe[0].get(), 0);
        auto hang_up = weft::spawn([&] { pipe[1].reset(); });
        BOOST_TEST(::poll(&silent, 1, 5000) == 1);
        BOOST_TEST(silent.revents == POLLHUP);
    });
}

BOOST_AUTO_TEST_CASE(poll_for_writing_waits_for_room) {
    weft::run([] {
        auto pair = support::tcp_pair();
        ::fcntl(pair[0].get(), F_SETFL, O_NONBLOCK);
        std::string const bytes(100'000, 'x');
        std::size_t sent = 0;
        ssize_t n = 0;
        while ((n = ::send(pair[0].get(), bytes.data(), bytes.size(), 0)) > 0)
            sent += static_cast<std::size_t>(n);
        pollfd out = wants(pair[0].get(), POLLOUT);
        BOOST_TEST(::poll(&out, 1, 0) == 0);
        auto reader = weft::spawn([&] { return support::read_exactly(pair[1].get(), sent).size(); });
        BOOST_TEST(::poll(&out, 1, 5000) == 1);
        BOOST_TEST(out.revents == POLLOUT);
        BOOST_TEST(reader.get() == sent);
    });
}

BOOST_AUTO_TEST_CASE(a_close_ends_poll_with_pollnval) {
    weft::run([] {
        auto pair = support::tcp_pair();
        pollfd one = wants(pair[0].get(), POLLIN);
        auto closer = weft::spawn([&] { pair[0].reset(); });
        BOOST_TEST(::poll(&one, 1, 5000) == 1);
        BOOST_TEST(one.revents == POLLNVAL);
    });
}

BOOST_AUTO_TEST_CASE(files_are_always_ready) {
    weft::run([] {
        std::FILE* const file = std::tmpfile();
        pollfd one = wants(::fileno(file), POLLIN | POLLOUT);
        BOOST_TEST(::poll(&one, 1, -1) == 1);
        std::fclose(file);
    });
}

BOOST_AUTO_TEST_CASE(select_fills_all_three_sets) {
    weft::run([] {
        auto pair = support::tcp_pair();
        int const fd = pair[0].get();
        fd_set read;
        fd_set write;
        fd_set except;
        FD_ZERO(&read);
        FD_ZERO(&write);
        FD_ZERO(&except);
        FD_SET(fd, &read);
        FD_SET(fd, &except);
        auto sender = weft::spawn([&] { ::send(pair[1].get(), "!", 1, MSG_OOB); });
        BOOST_TEST(::select(fd + 1, &read, nullptr, &except, nullptr) >= 1);
        BOOST_TEST(FD_ISSET(fd, &except));
        char byte = 0;
        ::recv(fd, &byte, 1, MSG_OOB);
        FD_ZERO(&read);
        FD_SET(fd, &read);
        FD_SET(fd, &write);
        timeval limit{.tv_sec = 5, .tv_usec = 0};
        BOOST_TEST(::select(fd + 1, &read, &write, nullptr, &limit) == 1);
        BOOST_TEST(FD_ISSET(fd, &write));
        BOOST_TEST(!FD_ISSET(fd, &read));
    });
}

BOOST_AUTO_TEST_CASE(select_times_out_and_tells_what_is_left) {
    weft::run([] {
        auto pair = support::tcp_pair();
        int const fd = pair[0].get();
        fd_set read;
        FD_ZERO(&read);
        FD_SET(fd, &read);
        timeval limit{.tv_sec = 0, .tv_usec = 5000};
        auto const start = weft::clock::now();
        BOOST_TEST(::select(fd + 1, &read, nullptr, nullptr, &limit) == 0);
        BOOST_TEST((weft::clock::now() - start >= 5ms));
        BOOST_TEST(!FD_ISSET(fd, &read));
        BOOST_TEST(limit.tv_usec == 0);
        auto sender = weft::spawn([&] { ::send(pair[1].get(), "x", 1, 0); });
        FD_SET(fd, &read);
        limit = {.tv_sec = 100, .tv_usec = 0};
        BOOST_TEST(::select(fd + 1, &read, nullptr, nullptr, &limit) == 1);
        BOOST_TEST((limit.tv_sec > 0 && limit.tv_sec < 100));
        limit = {.tv_sec = -1, .tv_usec = 0};
        BOOST_TEST(::select(0, nullptr, nullptr, nullptr, &limit) == -1);
        BOOST_TEST(errno == EINVAL);
        limit = {.tv_sec = 0, .tv_usec = 2000};
        BOOST_TEST(::select(0, nullptr, nullptr, nullptr, &limit) == 0); // a sleep
    });
}
