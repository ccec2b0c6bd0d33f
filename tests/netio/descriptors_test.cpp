// Nothing of a user's descriptor changes; and what the user changes is respected.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <cerrno>

#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;

int flags_of(int fd) { return ::fcntl(fd, F_GETFL); }

// As a child process sees them that inherits the descriptor.
int flags_in_child(int fd) {
    pid_t const child = ::fork();
    if (child == 0)
        ::_exit((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 ? 1 : 0);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

void expect_eagain(int fd) {
    char byte = 0;
    errno = 0;
    BOOST_TEST(::recv(fd, &byte, 1, 0) == -1);
    BOOST_TEST(errno == EAGAIN);
    errno = 0;
    BOOST_TEST(::read(fd, &byte, 1) == -1);
    BOOST_TEST(errno == EAGAIN);
}

} // namespace

BOOST_AUTO_TEST_CASE(flags_stay_as_the_program_set_them) {
    weft::run([] {
        support::listener const server;
        int seen_by_child = -1;
        auto acceptor = weft::spawn([&] { return ::accept(server.fd.get(), nullptr, nullptr); });
        support::unique_fd const client(::socket(AF_INET, SOCK_STREAM, 0));
        int const before = flags_of(client.get());
        BOOST_REQUIRE(::connect(client.get(), server.where(), sizeof server.address) == 0);
        support::unique_fd const accepted(acceptor.get());
        auto reader = weft::spawn([&] { return support::read_exactly(accepted.get(), 1); });
        weft::this_fiber::yield();
        // While a fiber waits on it, and afterwards.
        seen_by_child = flags_in_child(accepted.get());
        BOOST_TEST(seen_by_child == 0);
        ::send(client.get(), "x", 1, 0);
        reader.join();
        BOOST_TEST(flags_of(client.get()) == before);
        BOOST_TEST((flags_of(accepted.get()) & O_NONBLOCK) == 0);
        BOOST_TEST((flags_of(server.fd.get()) & O_NONBLOCK) == 0);
        BOOST_TEST(flags_in_child(server.fd.get()) == 0);
    });
}

BOOST_AUTO_TEST_CASE(a_descriptor_that_the_user_made_nonblocking_stays_so) {
    weft::run([] {
        { // by fcntl
            auto pair = support::tcp_pair();
            ::fcntl(pair[0].get(), F_SETFL, flags_of(pair[0].get()) | O_NONBLOCK);
            expect_eagain(pair[0].get());
            ::fcntl(pair[0].get(), F_SETFL, flags_of(pair[0].get()) & ~O_NONBLOCK);
            auto sender = weft::spawn([&] { ::send(pair[1].get(), "x", 1, 0); });
            BOOST_TEST(support::read_exactly(pair[0].get(), 1) == "x");
        }
        { // by ioctl, as CPython does
            auto pair = support::tcp_pair();
            int on = 1;
            ::ioctl(pair[0].get(), FIONBIO, &on);
            expect_eagain(pair[0].get());
        }
        { // at birth
            support::unique_fd const fd(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
            char byte = 0;
            BOOST_TEST(::recv(fd.get(), &byte, 1, 0) == -1);
            BOOST_TEST(errno == EAGAIN);
            support::listener const server;
            auto client = support::connect_to(server);
            support::unique_fd const accepted(::accept4(server.fd.get(), nullptr, nullptr, SOCK_NONBLOCK));
            expect_eagain(accepted.get());
        }
        { // through a duplicate, which shares the flag
            auto pair = support::tcp_pair();
            support::unique_fd const duplicate(::dup(pair[0].get()));
            ::fcntl(duplicate.get(), F_SETFL, O_NONBLOCK);
            expect_eagain(pair[0].get());
        }
        { // in a child process, which shares it too
            auto pair = support::tcp_pair();
            pid_t const child = ::fork();
            if (child == 0) {
                ::fcntl(pair[0].get(), F_SETFL, O_NONBLOCK);
                ::_exit(0);
            }
            ::waitpid(child, nullptr, 0);
            expect_eagain(pair[0].get());
        }
        { // connect on one
            support::listener const server;
            support::unique_fd const fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
            int const result = ::connect(fd.get(), server.where(), sizeof server.address);
            BOOST_TEST((result == 0 || errno == EINPROGRESS));
        }
    });
}

BOOST_AUTO_TEST_CASE(descriptors_from_before_and_outside_work) {
    auto pair = support::tcp_pair(); // made where no fiber runs
    support::listener const server;
    weft::run([&] {
        auto reader = weft::spawn([&] { return support::read_exactly(pair[0].get(), 3); });
        weft::this_fiber::yield();
        ::send(pair[1].get(), "abc", 3, 0);
        BOOST_TEST(reader.get() == "abc");
        auto acceptor = weft::spawn([&] { return ::accept(server.fd.get(), nullptr, nullptr); });
        weft::this_fiber::yield();
        auto client = support::connect_to(server);
        support::unique_fd const accepted(acceptor.get());
        BOOST_TEST(accepted.get() >= 0);
    });
    // And in a second run, with a new engine that knows nothing of the first.
    weft::run([&] {
        auto reader = weft::spawn([&] { return support::read_exactly(pair[0].get(), 3); });
        weft::this_fiber::yield();
        ::send(pair[1].get(), "abc", 3, 0);
        BOOST_TEST(reader.get() == "abc");
    });
}

BOOST_AUTO_TEST_CASE(duplicates_by_every_call_work) {
    weft::run([] {
        auto pair = support::tcp_pair();
        support::unique_fd const by_dup(::dup(pair[0].get()));
        support::unique_fd const by_fcntl(::fcntl(pair[0].get(), F_DUPFD_CLOEXEC, 100));
        BOOST_TEST(by_fcntl.get() >= 100);
        BOOST_TEST(::fcntl(by_fcntl.get(), F_GETFD) == FD_CLOEXEC);
        support::unique_fd const by_dup3(::dup3(pair[0].get(), 200, O_CLOEXEC));
        BOOST_TEST(by_dup3.get() == 200);
        for (int fd : {by_dup.get(), by_fcntl.get(), by_dup3.get()}) {
            auto reader = weft::spawn([fd] { return support::read_exactly(fd, 1); });
            weft::this_fiber::yield();
            ::send(pair[1].get(), "x", 1, 0);
            BOOST_TEST(reader.get() == "x");
        }
    });
}
