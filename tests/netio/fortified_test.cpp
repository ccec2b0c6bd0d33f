// The names that old and fortified binaries call. This file is compiled with _FORTIFY_SOURCE=2; where the compiler still
// calls the plain name, the checking one is called by hand.
#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>

#include <csignal>
#include <cstddef>

#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/child.hpp"
#include "support/sockets.hpp"

extern "C" {
ssize_t __read_chk(int, void*, std::size_t, std::size_t);
ssize_t __recv_chk(int, void*, std::size_t, std::size_t, int);
ssize_t __recvfrom_chk(int, void*, std::size_t, std::size_t, int, sockaddr*, socklen_t*);
int __poll_chk(pollfd*, nfds_t, int, std::size_t);
ssize_t __read(int, void*, std::size_t);
ssize_t __write(int, void const*, std::size_t);
ssize_t __send(int, void const*, std::size_t, int);
int __connect(int, sockaddr const*, socklen_t);
int __close(int);
int __fcntl(int, int, ...);
int __poll(pollfd*, nfds_t, int);
int __select(int, fd_set*, fd_set*, fd_set*, timeval*);
}

namespace {

// `receive` must wait for the byte that the other fiber sends once it runs: only a fiber that waits lets it.
template <class Receive> void expect_to_wait(Receive receive) {
    weft::run([&] {
        auto pair = support::tcp_pair();
        auto sender = weft::spawn([&] { __send(pair[1].get(), "x", 1, 0); });
        BOOST_TEST(receive(pair[0].get()) == 1);
    });
}

} // namespace

BOOST_AUTO_TEST_CASE(checking_names_wait_like_the_plain_ones) {
    static char buffer[4];
    expect_to_wait([](int fd) { return __read_chk(fd, buffer, 1, sizeof buffer); });
    expect_to_wait([](int fd) { return __recv_chk(fd, buffer, 1, sizeof buffer, 0); });
    expect_to_wait([](int fd) { return __recvfrom_chk(fd, buffer, 1, sizeof buffer, 0, nullptr, nullptr); });
    expect_to_wait([](int fd) {
        pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
        return __poll_chk(&one, 1, -1, sizeof one);
    });
    // As the compiler makes them of plain calls with a size that it can't see.
    expect_to_wait([](int fd) {
        std::size_t volatile size = 2;
        return ::read(fd, buffer, size);
    });
    expect_to_wait([](int fd) {
        std::size_t volatile size = 2;
        return ::recv(fd, buffer, size, 0);
    });
}

BOOST_AUTO_TEST_CASE(they_still_check) {
    static char buffer[4];
    auto const result = support::in_child([] {
        return weft::run([] {
            auto pair = support::tcp_pair();
            __recv_chk(pair[0].get(), buffer, 5, sizeof buffer, 0);
            return 0;
        });
    });
    BOOST_TEST(result.killed_by(SIGABRT));
    BOOST_TEST(result.errors.find("buffer overflow") != std::string::npos, result.errors);
}

BOOST_AUTO_TEST_CASE(old_names_wait_too) {
    static char buffer[4];
    expect_to_wait([](int fd) { return __read(fd, buffer, 1); });
    expect_to_wait([](int fd) {
        pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
        return __poll(&one, 1, -1);
    });
    expect_to_wait([](int fd) {
        fd_set read;
        FD_ZERO(&read);
        FD_SET(fd, &read);
        return __select(fd + 1, &read, nullptr, nullptr, nullptr);
    });
    weft::run([] {
        support::listener const server;
        support::unique_fd const fd(::socket(AF_INET, SOCK_STREAM, 0));
        BOOST_TEST(__connect(fd.get(), server.where(), sizeof server.address) == 0);
        BOOST_TEST(__write(fd.get(), "x", 1) == 1);
        BOOST_TEST((__fcntl(fd.get(), F_GETFL) & O_NONBLOCK) == 0);
        int const number = ::dup(fd.get());
        auto waiter = weft::spawn([number] { return ::recv(number, buffer, 1, 0); });
        weft::this_fiber::yield();
        BOOST_TEST(__close(number) == 0);
        BOOST_TEST(waiter.get() == -1);
    });
}
