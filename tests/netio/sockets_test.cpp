// The patched socket calls, used as any program uses them: they wait as POSIX says, and only the fiber waits.
#include "support/sockets.hpp"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include <boost/test/unit_test.hpp>

#include <weft/detail/system_call.hpp>
#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

namespace {

using namespace std::chrono_literals;
using support::tcp_pair;
using support::unix_pair;

void set_timeout(int fd, int option, std::chrono::milliseconds time) {
    timeval const value{.tv_sec = time.count() / 1000, .tv_usec = time.count() % 1000 * 1000};
    BOOST_REQUIRE(::setsockopt(fd, SOL_SOCKET, option, &value, sizeof value) == 0);
}

// Runs `body` on a fiber while another one counts: the thread must not have been blocked.
template <class Body> void while_others_run(Body body) {
    weft::run([&] {
        bool done = false;
        long turns = 0;
        auto other = weft::spawn([&] {
            while (!done) {
                ++turns;
                weft::this_fiber::yield();
            }
        });
        body();
        done = true;
        other.join();
        BOOST_TEST(turns > 0);
    });
}

} // namespace

BOOST_AUTO_TEST_CASE(recv_waits_for_data_and_then_for_the_end) {
    while_others_run([] {
        for (auto const& make : {tcp_pair, +[] { return unix_pair(); }}) {
            auto pair = make();
            auto sender = weft::spawn([&] {
                weft::this_fiber::sleep_for(2ms);
                BOOST_TEST(::send(pair[1].get(), "abc", 3, 0) == 3);
                weft::this_fiber::sleep_for(2ms);
                pair[1].reset();
            });
            char buffer[16];
            BOOST_TEST(::recv(pair[0].get(), buffer, sizeof buffer, 0) == 3);
            BOOST_TEST(std::memcmp(buffer, "abc", 3) == 0);
            BOOST_TEST(::recv(pair[0].get(), buffer, sizeof buffer, 0) == 0);
            BOOST_TEST(::recv(pair[0].get(), buffer, sizeof buffer, 0) == 0);
        }
    });
}

// The end of the stream may come with the last bytes, in one event: the short read must not hide it.
BOOST_AUTO_TEST_CASE(a_short_read_does_not_hide_the_end_of_the_stream) {
    weft::run([] {
        for (int round = 0; round < 200; ++round) {
            auto pair = tcp_pair();
            char buffer[64];
            auto reader = weft::spawn([&] {
                ssize_t sum = 0;
                ssize_t n = 0;
                while ((n = ::recv(pair[0].get(), buffer, sizeof buffer, 0)) > 0)
                    sum += n;
                return n == 0 ? sum : -1;
            });
            weft::this_fiber::yield();
            ::send(pair[1].get(), "12345", 5, 0);
            if (round % 3 == 1)
                weft::this_fiber::yield();
            ::shutdown(pair[1].get(), SHUT_WR);
            if (round % 3 == 2)
                weft::this_fiber::yield();
            BOOST_TEST(reader.get() == 5);
        }
    });
}

// Every chunk fits the reader's buffer, so that each read is a short one.
BOOST_AUTO_TEST_CASE(no_byte_is_missed_after_short_reads) {
    weft::run([] {
        auto pair = tcp_pair();
        std::string const bytes = support::pattern(200'000);
        auto writer = weft::spawn([&] {
            std::size_t sent = 0;
            for (std::size_t step = 1; sent < bytes.size(); ++step) {
                std::size_t const size = std::min(step % 700 + 1, bytes.size() - sent);
                BOOST_REQUIRE(::send(pair[1].get(), bytes.data() + sent, size, 0) ==
                              static_cast<ssize_t>(size));
                sent += size;
                if (step % 5 == 0)
                    weft::this_fiber::yield();
            }
        });
        BOOST_TEST((support::read_exactly(pair[0].get(), bytes.size()) == bytes));
    });
}

BOOST_AUTO_TEST_CASE(urgent_data_does_not_stall_a_stream) {
    weft::run([] {
        auto pair = tcp_pair();
        auto reader = weft::spawn([&] { return support::read_exactly(pair[0].get(), 6); });
        weft::this_fiber::yield();
        ::send(pair[1].get(), "abc", 3, 0);
        weft::this_fiber::yield();
        ::send(pair[1].get(), "!", 1, MSG_OOB);
        ::send(pair[1].get(), "def", 3, 0);
        BOOST_TEST(reader.get() == "abcdef");
    });
}

BOOST_AUTO_TEST_CASE(send_sends_everything_to_a_slow_reader) {
    while_others_run([] {
        for (auto const& make : {tcp_pair, +[] { return unix_pair(); }}) {
            auto pair = make();
            std::string const bytes = support::pattern(8'000'000);
            auto reader = weft::spawn([&] {
                weft::this_fiber::sleep_for(5ms);
                return support::read_exactly(pair[0].get(), bytes.size());
            });
            BOOST_TEST(::send(pair[1].get(), bytes.data(), bytes.size(), 0) ==
                       static_cast<ssize_t>(bytes.size()));
            BOOST_TEST((reader.get() == bytes));
        }
    });
}

BOOST_AUTO_TEST_CASE(sendmsg_and_recvmsg_gather_and_scatter) {
    weft::run([] {
        auto pair = tcp_pair();
        std::string const bytes = support::pattern(4'000'000);
        auto reader = weft::spawn([&] { return support::read_exactly(pair[0].get(), bytes.size()); });
        std::vector<iovec> parts;
        for (std::size_t at = 0; at < bytes.size(); at += 10'000)
            parts.push_back({.iov_base = const_cast<char*>(bytes.data()) + at, .iov_len = 10'000});
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = parts.size();
        BOOST_TEST(::sendmsg(pair[1].get(), &message, 0) == static_cast<ssize_t>(bytes.size()));
        BOOST_TEST((reader.get() == bytes));
        BOOST_TEST((parts.front().iov_base == bytes.data())); // the caller's array is left as it was

        char first[2];
        char second[10];
        iovec into[] = {{.iov_base = first, .iov_len = 2}, {.iov_base = second, .iov_len = 10}};
        msghdr received{};
        received.msg_iov = into;
        received.msg_iovlen = 2;
        auto sender = weft::spawn([&] { ::send(pair[1].get(), "hello", 5, 0); });
        BOOST_TEST(::recvmsg(pair[0].get(), &received, 0) == 5);
        BOOST_TEST(std::memcmp(second, "llo", 3) == 0);
    });
}

BOOST_AUTO_TEST_CASE(flags_mean_what_they_say) {
    weft::run([] {
        auto pair = tcp_pair();
        char buffer[16];
        BOOST_TEST(::recv(pair[0].get(), buffer, sizeof buffer, MSG_DONTWAIT) == -1);
        BOOST_TEST(errno == EAGAIN);
        auto sender = weft::spawn([&] {
            for (char const* part : {"ab", "cd", "ef"}) {
                weft::this_fiber::sleep_for(1ms);
                ::send(pair[1].get(), part, 2, 0);
            }
        });
        BOOST_TEST(::recv(pair[0].get(), buffer, 4, MSG_PEEK | MSG_WAITALL) == 4);
        BOOST_TEST(::recv(pair[0].get(), buffer, 2, MSG_PEEK) == 2);
        BOOST_TEST(std::memcmp(buffer, "ab", 2) == 0);
        BOOST_TEST(::recv(pair[0].get(), buffer, 6, MSG_WAITALL) == 6);
        BOOST_TEST(std::memcmp(buffer, "abcdef", 6) == 0);
        sender.join();
        auto closer = weft::spawn([&] {
            ::send(pair[1].get(), "xyz", 3, 0);
            pair[1].reset();
        });
        BOOST_TEST(::recv(pair[0].get(), buffer, 10, MSG_WAITALL) == 3);
    });
}

BOOST_AUTO_TEST_CASE(datagrams_stay_whole) {
    weft::run([] {
        auto pair = unix_pair(SOCK_DGRAM);
        char buffer[8];
        for (int i = 0; i < 3; ++i)
            BOOST_TEST(::send(pair[1].get(), "0123456789", static_cast<std::size_t>(i) + 1, 0) == i + 1);
        for (int i = 0; i < 3; ++i)
            BOOST_TEST(::recv(pair[0].get(), buffer, sizeof buffer, 0) == i + 1);
        // The buffer fills: send waits for room.
        auto reader = weft::spawn([&] {
            ssize_t sum = 0;
            while (sum < 500)
                sum += ::recv(pair[0].get(), buffer, sizeof buffer, 0);
            return sum;
        });
        for (int i = 0; i < 500; ++i)
            BOOST_TEST(::send(pair[1].get(), "x", 1, 0) == 1);
        BOOST_TEST(reader.get() == 500);
    });
}

BOOST_AUTO_TEST_CASE(udp_tells_who_sent) {
    weft::run([] {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        support::unique_fd const server(::socket(AF_INET, SOCK_DGRAM, 0));
        BOOST_REQUIRE(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
        ::getsockname(server.get(), reinterpret_cast<sockaddr*>(&address), &length);
        auto client = weft::spawn([&] {
            support::unique_fd const fd(::socket(AF_INET, SOCK_DGRAM, 0));
            ::sendto(fd.get(), "ping", 4, 0, reinterpret_cast<sockaddr*>(&address), sizeof address);
            char answer[8];
            return ::recvfrom(fd.get(), answer, sizeof answer, 0, nullptr, nullptr);
        });
        char buffer[16];
        sockaddr_in peer{};
        socklen_t peer_length = sizeof peer;
        BOOST_TEST(::recvfrom(server.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&peer),
                              &peer_length) == 4);
        BOOST_TEST(peer_length == sizeof peer);
        ::sendto(server.get(), "pong!", 5, 0, reinterpret_cast<sockaddr*>(&peer), peer_length);
        BOOST_TEST(client.get() == 5);
    });
}

BOOST_AUTO_TEST_CASE(time_limits_are_honoured) {
    weft::run([] {
        auto pair = tcp_pair();
        char buffer[4];
        set_timeout(pair[0].get(), SO_RCVTIMEO, 20ms);
        auto start = weft::clock::now();
        BOOST_TEST(::recv(pair[0].get(), buffer, sizeof buffer, 0) == -1);
        BOOST_TEST(errno == EAGAIN);
        BOOST_TEST((weft::clock::now() - start >= 20ms));
        set_timeout(pair[0].get(), SO_RCVTIMEO, 0ms);
        auto sender = weft::spawn([&] {
            weft::this_fiber::sleep_for(40ms);
            ::send(pair[1].get(), "x", 1, 0);
        });
        BOOST_TEST(::recv(pair[0].get(), buffer, sizeof buffer, 0) == 1);

        set_timeout(pair[0].get(), SO_SNDTIMEO, 20ms);
        std::string const bytes(16'000'000, 'x');
        ssize_t const sent = ::send(pair[0].get(), bytes.data(), bytes.size(), 0);
        BOOST_TEST((sent > 0 && sent < static_cast<ssize_t>(bytes.size())));
        BOOST_TEST(::send(pair[0].get(), bytes.data(), bytes.size(), 0) == -1);
        BOOST_TEST(errno == EAGAIN);

        support::listener const quiet;
        set_timeout(quiet.fd.get(), SO_RCVTIMEO, 5ms);
        BOOST_TEST(::accept(quiet.fd.get(), nullptr, nullptr) == -1);
        BOOST_TEST(errno == EAGAIN);
        // An accepted socket inherits its listener's limits.
        auto client = support::connect_to(quiet);
        support::unique_fd const accepted(::accept(quiet.fd.get(), nullptr, nullptr));
        BOOST_TEST(::recv(accepted.get(), buffer, sizeof buffer, 0) == -1);
        BOOST_TEST(errno == EAGAIN);
    });
}

BOOST_AUTO_TEST_CASE(accept_waits_and_connect_connects) {
    while_others_run([] {
        support::listener const server;
        auto clients = weft::spawn([&] {
            for (int i = 0; i < 50; ++i) {
                weft::this_fiber::yield();
                auto client = support::connect_to(server);
                BOOST_TEST(support::read_exactly(client.get(), 2) == "hi");
            }
        });
        for (int i = 0; i < 50; ++i) {
            sockaddr_in peer{};
            socklen_t length = sizeof peer;
            support::unique_fd const accepted(
                ::accept4(server.fd.get(), reinterpret_cast<sockaddr*>(&peer), &length, SOCK_CLOEXEC));
            BOOST_REQUIRE(accepted.get() >= 0);
            BOOST_TEST(peer.sin_family == AF_INET);
            ::send(accepted.get(), "hi", 2, 0);
        }
    });
}

BOOST_AUTO_TEST_CASE(connect_reports_refusal_and_its_time_limit) {
    weft::run([] {
        sockaddr_in nobody{};
        {
            support::listener const gone;
            nobody = gone.address;
        }
        support::unique_fd const fd(::socket(AF_INET, SOCK_STREAM, 0));
        BOOST_TEST(::connect(fd.get(), reinterpret_cast<sockaddr*>(&nobody), sizeof nobody) == -1);
        BOOST_TEST(errno == ECONNREFUSED);

        // A full backlog on loopback drops the handshake: connect waits until its limit.
        support::listener const full(0);
        std::vector<support::unique_fd> queued;
        int result = 0;
        for (int i = 0; i < 10 && result == 0; ++i) {
            queued.emplace_back(::socket(AF_INET, SOCK_STREAM, 0));
            set_timeout(queued.back().get(), SO_SNDTIMEO, 30ms);
            result = ::connect(queued.back().get(), full.where(), sizeof full.address);
        }
        BOOST_TEST(result == -1);
        BOOST_TEST(errno == EINPROGRESS);
    });
}

BOOST_AUTO_TEST_CASE(a_unix_listener_with_a_full_backlog_makes_connect_wait) {
    while_others_run([] {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "weft-test-%d", ::getpid());
        support::unique_fd const server(::socket(AF_UNIX, SOCK_STREAM, 0));
        BOOST_REQUIRE(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        BOOST_REQUIRE(::listen(server.get(), 1) == 0);
        int connected = 0;
        std::vector<weft::fiber<>> clients;
        for (int i = 0; i < 10; ++i)
            clients.push_back(weft::spawn([&] {
                support::unique_fd const fd(::socket(AF_UNIX, SOCK_STREAM, 0));
                BOOST_TEST(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
                ++connected;
            }));
        weft::this_fiber::sleep_for(3ms);
        BOOST_TEST(connected < 10);
        for (int i = 0; i < 10; ++i)
            support::unique_fd const accepted(::accept(server.get(), nullptr, nullptr));
        clients.clear();
        BOOST_TEST(connected == 10);
    });
}

BOOST_AUTO_TEST_CASE(descriptors_are_passed) {
    weft::run([] {
        auto carrier = unix_pair();
        auto passed = tcp_pair();
        auto receiver = weft::spawn([&] {
            char byte = 0;
            iovec part{.iov_base = &byte, .iov_len = 1};
            alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
            msghdr message{};
            message.msg_iov = &part;
            message.msg_iovlen = 1;
            message.msg_control = control;
            message.msg_controllen = sizeof control;
            BOOST_REQUIRE(::recvmsg(carrier[0].get(), &message, 0) == 1);
            cmsghdr const* const passed_on = CMSG_FIRSTHDR(&message);
            if (passed_on == nullptr)
                return std::string();
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(passed_on), sizeof fd);
            support::unique_fd const received(fd);
            std::string text = support::read_exactly(received.get(), 5);
            weft::detail::system_call(SYS_fcntl, fd, F_SETFL, O_NONBLOCK); // as another process would
            return text;
        });
        weft::this_fiber::yield();
        char byte = 'x';
        iovec part{.iov_base = &byte, .iov_len = 1};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        cmsghdr* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        int const fd = passed[0].get();
        std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
        BOOST_REQUIRE(::sendmsg(carrier[1].get(), &message, 0) == 1);
        weft::this_fiber::sleep_for(1ms);
        ::send(passed[1].get(), "hello", 5, 0);
        BOOST_TEST(receiver.get() == "hello");
        BOOST_TEST(::recv(fd, &byte, 1, 0) == -1);
        BOOST_TEST(errno == EAGAIN);
    });
}

BOOST_AUTO_TEST_CASE(many_fibers_may_wait_on_one_descriptor) {
    weft::run([] {
        auto pair = tcp_pair();
        std::string order;
        std::vector<weft::fiber<>> readers;
        for (int i = 0; i < 5; ++i)
            readers.push_back(weft::spawn([&, i] {
                char byte = 0;
                BOOST_TEST(::recv(pair[0].get(), &byte, 1, 0) == 1);
                order += static_cast<char>('0' + i);
                order += byte;
            }));
        weft::this_fiber::yield();
        ::send(pair[1].get(), "abcde", 5, 0);
        readers.clear();
        BOOST_TEST(order == "0a1b2c3d4e");
        // One reads while another writes, on the same descriptor.
        auto reader = weft::spawn([&] { return support::read_exactly(pair[0].get(), 3); });
        weft::this_fiber::yield();
        BOOST_TEST(::send(pair[0].get(), "to 1", 4, 0) == 4);
        BOOST_TEST(support::read_exactly(pair[1].get(), 4) == "to 1");
        ::send(pair[1].get(), "xyz", 3, 0);
        BOOST_TEST(reader.get() == "xyz");
    });
}

// The same calls on threads that are no workers, talking to fibers: they block, as ever.
BOOST_AUTO_TEST_CASE(plain_threads_are_as_they_were) {
    auto pair = tcp_pair();
    std::thread peer([fd = pair[1].get()] {
        char buffer[16];
        for (;;) {
            ssize_t const n = ::recv(fd, buffer, sizeof buffer, 0);
            if (n <= 0)
                break;
            ::send(fd, buffer, static_cast<std::size_t>(n), 0);
        }
    });
    weft::run([&] {
        for (int i = 0; i < 100; ++i) {
            ::send(pair[0].get(), "ping", 4, 0);
            BOOST_TEST(support::read_exactly(pair[0].get(), 4) == "ping");
        }
    });
    ::shutdown(pair[0].get(), SHUT_WR);
    peer.join();
}

// A fiber whose calls always succeed must let others run.
BOOST_AUTO_TEST_CASE(calls_that_never_wait_still_yield) {
    weft::run([] {
        auto pair = unix_pair(SOCK_STREAM);
        bool other_ran = false;
        auto other = weft::spawn([&] { other_ran = true; });
        char byte = 'x';
        int calls = 0;
        while (!other_ran && calls < 10'000) {
            ::send(pair[0].get(), &byte, 1, 0);
            ::recv(pair[1].get(), &byte, 1, 0);
            calls += 2;
        }
        BOOST_TEST(other_ran);
        BOOST_TEST(calls <= 256);
    });
}

BOOST_AUTO_TEST_CASE(errors_are_the_kernels) {
    weft::run([] {
        char byte = 0;
        BOOST_TEST(::recv(-1, &byte, 1, 0) == -1);
        BOOST_TEST(errno == EBADF);
        BOOST_TEST(::recv(1 << 29, &byte, 1, 0) == -1);
        BOOST_TEST(errno == EBADF);
        auto pipe = support::pipe_pair();
        BOOST_TEST(::recv(pipe[0].get(), &byte, 1, 0) == -1);
        BOOST_TEST(errno == ENOTSOCK);
        support::unique_fd const unconnected(::socket(AF_INET, SOCK_STREAM, 0));
        BOOST_TEST(::recv(unconnected.get(), &byte, 1, 0) == -1);
        BOOST_TEST(errno == ENOTCONN);
        BOOST_TEST(::accept(unconnected.get(), nullptr, nullptr) == -1);
        BOOST_TEST(errno == EINVAL);
        auto pair = tcp_pair();
        pair[1].reset();
        ::send(pair[0].get(), &byte, 1, MSG_NOSIGNAL);
        weft::this_fiber::sleep_for(1ms);
        BOOST_TEST(::send(pair[0].get(), &byte, 1, MSG_NOSIGNAL) == -1);
        BOOST_TEST(errno == EPIPE);
    });
}
