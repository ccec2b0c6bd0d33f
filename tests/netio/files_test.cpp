// read and write on descriptors of every kind.
#include <fcntl.h>
#include <pty.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <termios.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>

#include <boost/test/unit_test.hpp>

#include <weft/detail/system_call.hpp>
#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;

std::string read_all(int fd, std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t got = 0;
    while (got < size) {
        ssize_t const n = ::read(fd, bytes.data() + got, std::min<std::size_t>(size - got, 9999));
        if (n <= 0)
            break;
        got += static_cast<std::size_t>(n);
    }
    bytes.resize(got);
    return bytes;
}

// A big write with a reader that comes late.
void transfer(int from, int to, std::size_t size) {
    std::string const bytes = support::pattern(size);
    auto reader = weft::spawn([&] {
        weft::this_fiber::sleep_for(2ms);
        return read_all(to, size);
    });
    BOOST_TEST(::write(from, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    BOOST_TEST((reader.get() == bytes));
}

} // namespace

BOOST_AUTO_TEST_CASE(pipes) {
    weft::run([] {
        auto pipe = support::pipe_pair();
        transfer(pipe[1].get(), pipe[0].get(), 1'000'000);
        auto reader = weft::spawn([&] {
            char byte = 0;
            return ::read(pipe[0].get(), &byte, 1);
        });
        weft::this_fiber::yield();
        pipe[1].reset();
        BOOST_TEST(reader.get() == 0);
    });
}

BOOST_AUTO_TEST_CASE(sockets_by_read_and_write) {
    weft::run([] {
        auto tcp = support::tcp_pair();
        transfer(tcp[1].get(), tcp[0].get(), 3'000'000);
        char buffer[8];
        BOOST_TEST(::read(tcp[0].get(), buffer, 0) == 0); // nothing asked for: no waiting
        iovec parts[] = {{.iov_base = buffer, .iov_len = 2}, {.iov_base = buffer + 2, .iov_len = 6}};
        iovec out[] = {{.iov_base = const_cast<char*>("ab"), .iov_len = 2},
                       {.iov_base = const_cast<char*>("cde"), .iov_len = 3}};
        auto writer = weft::spawn([&] { BOOST_TEST(::writev(tcp[1].get(), out, 2) == 5); });
        BOOST_TEST(::readv(tcp[0].get(), parts, 2) == 5);
        BOOST_TEST(std::string(buffer, 5) == "abcde");
        int volatile negative = -1;
        BOOST_TEST(::readv(tcp[0].get(), parts, negative) == -1);
        BOOST_TEST(errno == EINVAL);
    });
}

BOOST_AUTO_TEST_CASE(fifos) {
    weft::run([] {
        std::string const path = "weft-test-fifo-" + std::to_string(::getpid());
        BOOST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
        support::unique_fd const both(::open(path.c_str(), O_RDWR));
        support::unique_fd const out(::open(path.c_str(), O_WRONLY));
        ::unlink(path.c_str());
        transfer(out.get(), both.get(), 300'000);
    });
}

BOOST_AUTO_TEST_CASE(terminals) {
    weft::run([] {
        int primary = -1;
        int secondary = -1;
        BOOST_REQUIRE(::openpty(&primary, &secondary, nullptr, nullptr, nullptr) == 0);
        support::unique_fd const a(primary);
        support::unique_fd const b(secondary);
        auto reader = weft::spawn([&] { return read_all(b.get(), 6); });
        weft::this_fiber::yield();
        BOOST_TEST(::write(a.get(), "hello\n", 6) == 6);
        BOOST_TEST(reader.get() == "hello\n");
    });
}

BOOST_AUTO_TEST_CASE(eventfds_and_timerfds) {
    weft::run([] {
        support::unique_fd const event(::eventfd(0, 0));
        auto reader = weft::spawn([&] {
            std::uint64_t value = 0;
            return ::read(event.get(), &value, sizeof value) == sizeof value ? value : 0;
        });
        weft::this_fiber::yield();
        std::uint64_t const five = 5;
        BOOST_TEST(::write(event.get(), &five, sizeof five) == sizeof five);
        BOOST_TEST(reader.get() == 5U);

        support::unique_fd const timer(::timerfd_create(CLOCK_MONOTONIC, 0));
        itimerspec const spec{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = 3'000'000}};
        ::timerfd_settime(timer.get(), 0, &spec, nullptr);
        std::uint64_t expired = 0;
        BOOST_TEST(::read(timer.get(), &expired, sizeof expired) == sizeof expired);
        BOOST_TEST(expired == 1U);
    });
}

BOOST_AUTO_TEST_CASE(regular_files_and_devices) {
    weft::run([] {
        std::FILE* const temporary = std::tmpfile();
        int const fd = ::fileno(temporary);
        std::string const bytes = support::pattern(300'000);
        BOOST_TEST(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
        ::lseek(fd, 0, SEEK_SET);
        BOOST_TEST((read_all(fd, bytes.size()) == bytes));
        char byte = 0;
        BOOST_TEST(::read(fd, &byte, 1) == 0);
        std::fclose(temporary);
        support::unique_fd const zero(::open("/dev/zero", O_RDWR));
        BOOST_TEST(::read(zero.get(), &byte, 1) == 1);
        BOOST_TEST(::write(zero.get(), &byte, 1) == 1);
        support::unique_fd const directory(::open("/", O_RDONLY));
        BOOST_TEST(::read(directory.get(), &byte, 1) == -1);
        BOOST_TEST(errno == EISDIR);
        BOOST_TEST(::write(-1, &byte, 1) == -1);
        BOOST_TEST(errno == EBADF);
    });
}

// What the record says of the number is a socket, opened by us; what it has become behind our back is a pipe.
BOOST_AUTO_TEST_CASE(a_wrong_guess_about_the_kind_corrects_itself) {
    weft::run([] {
        auto sockets = support::tcp_pair();
        auto pipe = support::pipe_pair();
        int const number = sockets[0].get();
        BOOST_REQUIRE(weft::detail::system_call(SYS_dup3, pipe[0].get(), number, 0) == number);
        auto reader = weft::spawn([number] { return read_all(number, 3); });
        weft::this_fiber::yield();
        ::write(pipe[1].get(), "abc", 3);
        BOOST_TEST(reader.get() == "abc");
    });
}
