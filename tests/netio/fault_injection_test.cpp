// Real scenarios while faults are injected, under many seeds: every byte arrives, every wait ends. And that the faults are what they say.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/net/acceptor.hpp>
#include <weft/net/tcp_stream.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>
#include <weft/testing/fault_injector.hpp>
#include <weft/testing/virtual_clock.hpp>
#include <weft/this_fiber.hpp>

#include "support/child.hpp"
#include "support/options.hpp"
#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;
using support::pair_of_fds;
using support::pattern;
using weft::testing::fault_counts;
using weft::testing::fault_injector;
using weft::testing::fault_options;

// All that a program which has no handlers can meet on a connection that holds.
fault_options everyday(std::uint32_t seed) {
    return {.seed = seed, .short_reads = 0.3, .short_writes = 0.3, .would_block = 0.2, .delays = 0.1};
}

// Calls scenario(number at random) within weft::run, `runs` times, each under another seed. Where one fails, its seed is shown.
template <class Scenario>
fault_counts under_many_seeds(std::uint32_t runs, fault_options (*options)(std::uint32_t),
                              Scenario scenario) {
    fault_counts sum;
    std::uint32_t const first = weft::testing::seed();
    for (std::uint32_t i = 0; i < runs; ++i) {
        fault_injector const faults(options(first + i));
        BOOST_TEST_CONTEXT("WEFT_TEST_SEED=" << faults.seed())
        weft::run([&] { scenario(static_cast<std::uint32_t>(std::mt19937(faults.seed())())); });
        fault_counts const now = faults.counts();
        sum.short_reads += now.short_reads;
        sum.short_writes += now.short_writes;
        sum.interruptions += now.interruptions;
        sum.would_block += now.would_block;
        sum.resets += now.resets;
        sum.delays += now.delays;
    }
    BOOST_TEST_MESSAGE("short reads " << sum.short_reads << ", short writes " << sum.short_writes
                                      << ", interruptions " << sum.interruptions << ", would block "
                                      << sum.would_block << ", resets " << sum.resets << ", delays "
                                      << sum.delays);
    return sum;
}

std::array<iovec, 3> three_parts(char* bytes, std::size_t size) {
    std::size_t const first = size / 3;
    return {iovec{.iov_base = bytes, .iov_len = first}, iovec{.iov_base = bytes + first, .iov_len = 0},
            iovec{.iov_base = bytes + first, .iov_len = size - first}};
}

// The ways to write: each writes all, as its call promises for a blocking descriptor.
enum class writing { write, writev, send, sendmsg };
ssize_t write_all(writing how, int fd, std::string& bytes) {
    std::array<iovec, 3> parts = three_parts(bytes.data(), bytes.size());
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    switch (how) {
    case writing::write: return ::write(fd, bytes.data(), bytes.size());
    case writing::writev: return ::writev(fd, parts.data(), static_cast<int>(parts.size()));
    case writing::send: return ::send(fd, bytes.data(), bytes.size(), 0);
    case writing::sendmsg: return ::sendmsg(fd, &message, 0);
    }
    return -1;
}

// And to read: some, or with MSG_WAITALL all.
enum class reading { read, readv, recv, recvmsg, recv_all, recvmsg_all };
ssize_t read_some(reading how, int fd, char* buffer, std::size_t size) {
    std::array<iovec, 3> parts = three_parts(buffer, size);
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    switch (how) {
    case reading::read: return ::read(fd, buffer, size);
    case reading::readv: return ::readv(fd, parts.data(), static_cast<int>(parts.size()));
    case reading::recv: return ::recv(fd, buffer, size, 0);
    case reading::recvmsg: return ::recvmsg(fd, &message, 0);
    case reading::recv_all: return ::recv(fd, buffer, size, MSG_WAITALL);
    case reading::recvmsg_all: return ::recvmsg(fd, &message, MSG_WAITALL);
    }
    return -1;
}

std::string read_until_end(reading how, int fd, std::size_t step) {
    std::string bytes;
    std::vector<char> buffer(step);
    for (;;) {
        ssize_t const n = read_some(how, fd, buffer.data(), buffer.size());
        BOOST_TEST(n >= 0, "errno " << errno);
        if (n <= 0)
            return bytes;
        bytes.append(buffer.data(), static_cast<std::size_t>(n));
    }
}

// In one direction, from pair[1] to pair[0].
void stream_pattern(pair_of_fds pair, writing out, reading in, std::uint32_t seed) {
    std::string bytes = pattern(1 + seed % 40'000, seed);
    auto writer = weft::spawn([&] {
        std::size_t sent = 0;
        for (std::size_t i = 1; sent < bytes.size(); ++i) {
            std::string piece = bytes.substr(sent, 1 + (seed + i * i * 777) % 15'000);
            BOOST_REQUIRE(write_all(out, pair[1].get(), piece) == static_cast<ssize_t>(piece.size()));
            sent += piece.size();
        }
        pair[1].reset();
    });
    std::string const got = read_until_end(in, pair[0].get(), 100 + seed % 9000);
    writer.join();
    BOOST_TEST((got == bytes), got.size() << " bytes of " << bytes.size());
}

// Back and forth on one connection, so that reads and writes wait on the same descriptor.
void echo(pair_of_fds pair, writing out, reading in, std::uint32_t seed) {
    auto server = weft::spawn([&] {
        char buffer[2000];
        ssize_t n = 0;
        while ((n = read_some(in, pair[0].get(), buffer, 100 + seed % 1900)) > 0) {
            std::string bytes(buffer, static_cast<std::size_t>(n));
            BOOST_REQUIRE(write_all(out, pair[0].get(), bytes) == n);
        }
        BOOST_TEST(n == 0);
    });
    std::string request = pattern(5000, seed);
    auto reader = weft::spawn([&] { return support::read_exactly(pair[1].get(), 4 * request.size()); });
    for (int i = 0; i < 4; ++i)
        BOOST_REQUIRE(write_all(out, pair[1].get(), request) == static_cast<ssize_t>(request.size()));
    BOOST_TEST((reader.get() == request + request + request + request));
    ::shutdown(pair[1].get(), SHUT_WR);
    server.join();
}

template <class Call> int errno_of(Call call) { return call() < 0 ? errno : 0; }

int recv_errno(int fd) {
    char byte = 0;
    return errno_of([&] { return ::recv(fd, &byte, 1, 0); });
}

int send_errno(int fd) {
    return errno_of([&] { return ::send(fd, "x", 1, MSG_NOSIGNAL); });
}

} // namespace

BOOST_AUTO_TEST_CASE(streams_lose_no_byte) {
    constexpr std::array out{writing::write, writing::writev, writing::send, writing::sendmsg};
    constexpr std::array in{reading::read,    reading::readv,    reading::recv,
                            reading::recvmsg, reading::recv_all, reading::recvmsg_all};
    auto const counts = under_many_seeds(240, everyday, [&](std::uint32_t seed) {
        for (std::size_t i = 0; i < 2; ++i) {
            writing const how = out[(seed + i) % out.size()];
            reading const back = in[(seed / 2 + i) % in.size()];
            stream_pattern(support::tcp_pair(), how, back, seed + 1);
            stream_pattern(support::unix_pair(), how, back, seed + 2);
        }
        stream_pattern(support::pipe_pair(), out[seed % 2], in[seed / 2 % 2], seed + 3);
    });
    BOOST_TEST(counts.short_reads > 1000U);
    BOOST_TEST(counts.short_writes > 1000U);
    BOOST_TEST(counts.would_block > 1000U);
    BOOST_TEST(counts.delays > 1000U);
    BOOST_TEST(counts.interruptions == 0U);
    BOOST_TEST(counts.resets == 0U);
}

BOOST_AUTO_TEST_CASE(echoes_come_back_whole) {
    constexpr std::array out{writing::write, writing::writev, writing::send, writing::sendmsg};
    constexpr std::array in{reading::read, reading::readv, reading::recv, reading::recvmsg};
    under_many_seeds(200, everyday, [&](std::uint32_t seed) {
        auto other = weft::spawn(
            [=] { echo(support::unix_pair(), out[seed / 3 % out.size()], in[seed % in.size()], seed); });
        auto pair = support::tcp_pair();
        for (support::unique_fd const& each :
             pair) { // or a small segment waits until the one before it is acknowledged
            int const on = 1;
            ::setsockopt(each.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        }
        echo(std::move(pair), out[seed % out.size()], in[seed / 5 % in.size()], seed);
    });
}

// Datagrams come as they were sent, and so do the packets of a pipe that keeps them apart, and what a pipe takes at once.
BOOST_AUTO_TEST_CASE(messages_stay_whole) {
    auto const counts = under_many_seeds(100, everyday, [](std::uint32_t seed) {
        for (int const type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
            auto pair = support::unix_pair(type);
            auto sender = weft::spawn([&] {
                for (std::size_t i = 0; i < 60; ++i) {
                    std::string message = pattern(1 + i * 37 % 1500, seed);
                    BOOST_TEST(write_all(i % 2 == 0 ? writing::write : writing::sendmsg, pair[1].get(),
                                         message) == static_cast<ssize_t>(message.size()));
                }
            });
            for (std::size_t i = 0; i < 60; ++i) {
                char buffer[2000];
                auto const how = static_cast<reading>(i % 4);
                ssize_t const n = read_some(how, pair[0].get(), buffer, sizeof buffer);
                BOOST_REQUIRE(n == static_cast<ssize_t>(1 + i * 37 % 1500));
                BOOST_TEST((std::string(buffer, static_cast<std::size_t>(n)) ==
                            pattern(static_cast<std::size_t>(n), seed)));
            }
        }
        std::array<int, 2> packets{};
        BOOST_REQUIRE(::pipe2(packets.data(), O_DIRECT) == 0);
        pair_of_fds const pipe{support::unique_fd(packets[0]), support::unique_fd(packets[1])};
        BOOST_TEST(::write(pipe[1].get(), "one", 3) == 3);
        BOOST_TEST(::write(pipe[1].get(), "three", 5) == 5);
        char buffer[16];
        BOOST_TEST(::read(pipe[0].get(), buffer, sizeof buffer) == 3);
        BOOST_TEST(::read(pipe[0].get(), buffer, sizeof buffer) == 5);
    });
    BOOST_TEST(counts.would_block > 0U);
    BOOST_TEST(counts.short_reads + counts.short_writes == 0U);
}

// From a file by sendfile into a socket, from there through a pipe by splice, and out by stdio.
BOOST_AUTO_TEST_CASE(transfers_and_streams_of_stdio_lose_no_byte) {
    under_many_seeds(100, everyday, [](std::uint32_t seed) {
        std::string bytes = pattern(1 + seed % 60'000, seed) + "\n";
        support::unique_fd const file(::memfd_create("weft-test", 0));
        BOOST_REQUIRE(write_all(writing::write, file.get(), bytes) == static_cast<ssize_t>(bytes.size()));
        auto sockets = support::tcp_pair();
        auto pipe = support::pipe_pair();
        auto sender = weft::spawn([&] {
            off_t offset = 0;
            BOOST_TEST(::sendfile(sockets[1].get(), file.get(), &offset, bytes.size()) ==
                       static_cast<ssize_t>(bytes.size()));
            sockets[1].reset();
        });
        auto mover = weft::spawn([&] {
            std::string start(10, '\0');
            ssize_t const seen = ::recv(sockets[0].get(), start.data(), start.size(), MSG_PEEK | MSG_WAITALL);
            BOOST_TEST(seen == static_cast<ssize_t>(std::min<std::size_t>(bytes.size(), 10)));
            BOOST_TEST(bytes.starts_with(std::string_view(start).substr(0, static_cast<std::size_t>(seen))));
            ssize_t n = 0;
            while ((n = ::splice(sockets[0].get(), nullptr, pipe[1].get(), nullptr, 10'000, 0)) > 0) {
            }
            BOOST_TEST(n == 0);
            pipe[1].reset();
        });
        std::unique_ptr<FILE, int (*)(FILE*)> const in(::fdopen(pipe[0].release(), "r"), &std::fclose);
        std::string got;
        char* line = nullptr;
        std::size_t room = 0;
        for (ssize_t n = 0; (n = ::getline(&line, &room, in.get())) > 0;)
            got.append(line, static_cast<std::size_t>(n));
        std::free(line);
        BOOST_TEST((got == bytes));
    });
}

BOOST_AUTO_TEST_CASE(many_messages_in_one_call_all_come) {
    under_many_seeds(100, everyday, [](std::uint32_t seed) {
        constexpr unsigned count = 40; // more than the socket holds
        auto pair = support::unix_pair(SOCK_DGRAM);
        auto const transfer = [&](auto call, std::vector<std::string>& texts) {
            std::array<iovec, count> parts{};
            std::array<mmsghdr, count> messages{};
            for (unsigned i = 0; i < count; ++i) {
                parts[i] = {.iov_base = texts[i].data(), .iov_len = texts[i].size()};
                messages[i].msg_hdr.msg_iov = &parts[i];
                messages[i].msg_hdr.msg_iovlen = 1;
            }
            BOOST_TEST(call(messages.data()) == static_cast<int>(count));
            for (unsigned i = 0; i < count; ++i)
                texts[i].resize(messages[i].msg_len);
        };
        std::vector<std::string> sent;
        for (unsigned i = 0; i < count; ++i)
            sent.push_back(pattern(1 + (seed + i * 31) % 500, seed + i));
        auto sender = weft::spawn([&] {
            auto copies = sent;
            transfer([&](mmsghdr* all) { return ::sendmmsg(pair[1].get(), all, count, 0); }, copies);
            BOOST_TEST((copies == sent));
        });
        std::vector<std::string> got(count, std::string(500, '\0'));
        transfer([&](mmsghdr* all) { return ::recvmmsg(pair[0].get(), all, count, 0, nullptr); }, got);
        BOOST_TEST((got == sent));
    });
}

BOOST_AUTO_TEST_CASE(http_over_an_acceptor_and_streams) {
    namespace http = boost::beast::http;
    under_many_seeds(100, everyday, [](std::uint32_t seed) {
        weft::net::acceptor acceptor(weft::net::endpoint::parse("127.0.0.1:0"));
        auto server = weft::spawn([&] {
            for (int i = 0; i < 3; ++i)
                weft::spawn([stream = acceptor.accept()]() mutable {
                    boost::beast::flat_buffer buffer;
                    http::request<http::string_body> request;
                    http::read(stream, buffer, request);
                    http::response<http::string_body> response{http::status::ok, 11};
                    response.body() = request.body();
                    response.prepare_payload();
                    http::write(stream, response);
                }).detach();
        });
        std::vector<weft::fiber<>> clients;
        for (std::uint32_t i = 0; i < 3; ++i)
            clients.push_back(weft::spawn([&, i] {
                auto stream = weft::net::tcp_stream::connect(acceptor.local_endpoint());
                stream.expires_after(1h);
                http::request<http::string_body> request{http::verb::post, "/", 11};
                request.body() = pattern(seed % 40'000, seed + i);
                request.prepare_payload();
                http::write(stream, request);
                boost::beast::flat_buffer buffer;
                http::response<http::string_body> response;
                http::read(stream, buffer, response);
                BOOST_TEST((response.body() == request.body()));
            }));
    });
}

BOOST_AUTO_TEST_CASE(connections_are_accepted_in_a_storm) {
    auto const counts = under_many_seeds(60, everyday, [](std::uint32_t) {
        support::listener const server;
        constexpr int count = 12;
        std::vector<weft::fiber<>> fibers;
        for (int i = 0; i < count; ++i)
            fibers.push_back(weft::spawn([&] {
                auto const client = support::connect_to(server);
                BOOST_TEST(support::read_exactly(client.get(), 2) == "hi");
            }));
        for (int i = 0; i < count; ++i)
            fibers.push_back(weft::spawn([&] {
                support::unique_fd const accepted(::accept(server.fd.get(), nullptr, nullptr));
                BOOST_REQUIRE(accepted.get() >= 0);
                BOOST_TEST(::send(accepted.get(), "hi", 2, 0) == 2);
            }));
    });
    BOOST_TEST(counts.would_block > 0U);
}

// The look finds nothing though there is something, after its edge: poll and its relatives wait all the same no longer than they must.
BOOST_AUTO_TEST_CASE(poll_select_and_epoll_wait_find_what_is_ready) {
    auto const counts = under_many_seeds(200, everyday, [](std::uint32_t seed) {
        auto quiet = support::unix_pair();
        auto pair = seed % 2 == 0 ? support::tcp_pair() : support::unix_pair();
        int const fd = pair[0].get();
        support::unique_fd const epoll(::epoll_create1(0));
        epoll_event interest{.events = EPOLLIN, .data = {.fd = fd}};
        BOOST_REQUIRE(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &interest) == 0);
        auto const wait_by_poll = [&](short events) {
            std::array<pollfd, 3> fds{pollfd{.fd = quiet[0].get(), .events = POLLIN, .revents = 0},
                                      pollfd{.fd = -1, .events = POLLIN, .revents = 0},
                                      pollfd{.fd = fd, .events = events, .revents = 0}};
            BOOST_TEST(::poll(fds.data(), fds.size(), -1) == 1);
            BOOST_TEST(fds[0].revents == 0);
            BOOST_TEST(fds[2].revents == events);
        };
        auto const wait_by_select = [&] {
            fd_set set;
            FD_ZERO(&set);
            FD_SET(quiet[0].get(), &set);
            FD_SET(fd, &set);
            BOOST_TEST(::select(std::max(quiet[0].get(), fd) + 1, &set, nullptr, nullptr, nullptr) == 1);
            BOOST_TEST(FD_ISSET(fd, &set));
            BOOST_TEST(!FD_ISSET(quiet[0].get(), &set));
        };
        auto const wait_by_epoll = [&] {
            epoll_event found{};
            BOOST_TEST(::epoll_wait(epoll.get(), &found, 1, -1) == 1);
            BOOST_TEST(int{found.data.fd} == fd);
        };
        wait_by_poll(POLLOUT);
        auto writer = weft::spawn([&, other = pair[1].get()] {
            for (int i = 0; i < 12; ++i) {
                weft::this_fiber::yield();
                ::send(other, "12", 2, 0);
            }
        });
        for (std::uint32_t i = 0; i < 24; ++i) {
            switch ((seed + i) % 3) {
            case 0: wait_by_poll(POLLIN); break;
            case 1: wait_by_select(); break;
            default: wait_by_epoll(); break;
            }
            char byte = 0;
            BOOST_TEST(::recv(fd, &byte, 1, 0) == 1);
        }
        // Without time to wait, they tell what is there.
        ::send(pair[1].get(), "x", 1, 0);
        pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
        weft::this_fiber::yield();
        BOOST_TEST(::poll(&one, 1, 0) == 1);
        // A file is always ready, and no event tells of it.
        support::unique_fd const file(::open("/proc/self/exe", O_RDONLY));
        std::array<pollfd, 2> both{pollfd{.fd = quiet[0].get(), .events = POLLIN, .revents = 0},
                                   pollfd{.fd = file.get(), .events = POLLIN, .revents = 0}};
        BOOST_TEST(::poll(both.data(), both.size(), -1) == 1);
    });
    BOOST_TEST(counts.would_block > 100U);
}

// The time is over before the first look, which hides what is there: who was told to wait for a while gets it all the same.
BOOST_AUTO_TEST_CASE(what_is_ready_is_found_though_a_delay_takes_all_the_time) {
    auto const options = [](std::uint32_t seed) {
        return fault_options{.seed = seed, .would_block = 0.5, .delays = 0.5, .longest_delay = 10ms};
    };
    weft::testing::virtual_clock const clock;
    auto const counts = under_many_seeds(100, options, [](std::uint32_t) {
        auto pair = support::unix_pair();
        int const fd = pair[0].get();
        ::send(pair[1].get(), "x", 1, MSG_DONTWAIT);
        pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
        BOOST_TEST(::poll(&one, 1, 1) == 1);
        BOOST_TEST(one.revents == POLLIN);
        fd_set set;
        FD_ZERO(&set);
        FD_SET(fd, &set);
        timeval soon{.tv_sec = 0, .tv_usec = 1000};
        BOOST_TEST(::select(fd + 1, &set, nullptr, nullptr, &soon) == 1);
        BOOST_TEST(FD_ISSET(fd, &set));
        support::unique_fd const epoll(::epoll_create1(0));
        epoll_event interest{.events = EPOLLIN, .data = {.fd = fd}};
        BOOST_REQUIRE(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &interest) == 0);
        epoll_event found{};
        BOOST_TEST(::epoll_wait(epoll.get(), &found, 1, 1) == 1);
        BOOST_TEST(int{found.data.fd} == fd);
    });
    BOOST_TEST(counts.would_block > 0U);
    BOOST_TEST(counts.delays > 0U);
}

// A program that waits for edges itself, on descriptors that it has made non-blocking, must not miss one.
BOOST_AUTO_TEST_CASE(edges_of_the_programs_own_are_not_taken) {
    under_many_seeds(100, everyday, [](std::uint32_t seed) {
        auto pair = support::unix_pair();
        int const fd = pair[0].get();
        BOOST_REQUIRE(::fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
        support::unique_fd const epoll(::epoll_create1(0));
        epoll_event interest{.events = EPOLLIN | EPOLLET, .data = {.fd = fd}};
        BOOST_REQUIRE(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &interest) == 0);
        std::string const bytes = pattern(20'000, seed);
        auto writer = weft::spawn([&] {
            BOOST_TEST(::send(pair[1].get(), bytes.data(), bytes.size(), 0) ==
                       static_cast<ssize_t>(bytes.size()));
        });
        std::string got;
        while (got.size() < bytes.size()) {
            epoll_event found{};
            BOOST_REQUIRE(::epoll_wait(epoll.get(), &found, 1, -1) == 1);
            char buffer[1000];
            for (;;) {
                ssize_t const n = ::recv(fd, buffer, sizeof buffer, 0);
                if (n > 0)
                    got.append(buffer, static_cast<std::size_t>(n));
                if (n < static_cast<ssize_t>(sizeof buffer)) // all that there was: epoll(7)
                    break;
            }
        }
        BOOST_TEST((got == bytes));
    });
}

BOOST_AUTO_TEST_CASE(interrupted_calls_can_be_repeated) {
    auto const options = [](std::uint32_t seed) {
        fault_options all = everyday(seed);
        all.interruptions = 0.3;
        return all;
    };
    auto const counts = under_many_seeds(100, options, [](std::uint32_t seed) {
        auto const repeat = [](auto call) {
            ssize_t n = 0;
            while ((n = call()) < 0 && errno == EINTR) {
            }
            return n;
        };
        weft::net::acceptor acceptor(weft::net::endpoint::parse("127.0.0.1:0"));
        std::string const bytes = pattern(20'000, seed);
        auto client = weft::spawn([&] {
            support::unique_fd const fd(::socket(AF_INET, SOCK_STREAM, 0));
            auto const remote = acceptor.local_endpoint();
            if (::connect(fd.get(), remote.address(), remote.length()) != 0) {
                BOOST_TEST(errno == EINTR); // goes on by itself
                pollfd one{.fd = fd.get(), .events = POLLOUT, .revents = 0};
                BOOST_TEST(repeat([&] { return ::poll(&one, 1, -1); }) == 1);
                BOOST_TEST(one.revents == POLLOUT);
            }
            std::size_t sent = 0;
            while (sent < bytes.size()) {
                ssize_t const n =
                    repeat([&] { return ::send(fd.get(), bytes.data() + sent, bytes.size() - sent, 0); });
                BOOST_REQUIRE(n > 0);
                sent += static_cast<std::size_t>(n);
            }
        });
        auto stream = acceptor.accept(); // goes on, too
        std::string got;
        char buffer[700];
        for (;;) {
            ssize_t const n =
                repeat([&] { return ::recv(stream.native_handle(), buffer, sizeof buffer, 0); });
            BOOST_REQUIRE(n >= 0);
            if (n == 0)
                break;
            got.append(buffer, static_cast<std::size_t>(n));
        }
        BOOST_TEST((got == bytes));
    });
    BOOST_TEST(counts.interruptions > 100U);
}

BOOST_AUTO_TEST_CASE(a_reset_is_told_once_and_lasts) {
    for (bool const tcp : {true, false})
        for (bool const by_reading : {true, false})
            weft::run([&] {
                auto pair = tcp ? support::tcp_pair() : support::unix_pair();
                ::send(pair[0].get(), "seen", 4, 0);
                ::send(pair[1].get(), "lost", 4, 0);
                int const fd = pair[0].get();
                auto waiter = weft::spawn([peer = pair[1].get()] {
                    std::string const got = support::read_exactly(peer, 4);
                    return std::pair(got, recv_errno(peer));
                });
                {
                    fault_injector const faults({.seed = 1, .resets = 1});
                    BOOST_TEST((by_reading ? recv_errno(fd) : send_errno(fd)) == ECONNRESET);
                    BOOST_TEST(faults.counts().resets == 1U);
                }
                char byte = 0;
                BOOST_TEST(::recv(fd, &byte, 1, 0) == 0);
                BOOST_TEST(send_errno(fd) == EPIPE);
                pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
                BOOST_TEST(::poll(&one, 1, -1) == 1);
                BOOST_TEST((one.revents & POLLHUP) != 0);
                auto const [got, error] = waiter.get();
                BOOST_TEST(got == "seen");
                BOOST_TEST(error == (tcp ? ECONNRESET : 0));
                BOOST_TEST(send_errno(pair[1].get()) == EPIPE);
            });
}

// Where it strikes a call that has moved some bytes already, that call returns them, and the next one tells.
BOOST_AUTO_TEST_CASE(a_reset_in_the_midst_of_a_call_is_the_next_calls) {
    auto const options = [](std::uint32_t seed) {
        return fault_options{.seed = seed, .short_reads = 0.5, .short_writes = 0.5, .resets = 0.1};
    };
    constexpr std::array out{writing::write, writing::writev, writing::send, writing::sendmsg};
    std::size_t midway = 0;
    auto* const before = ::signal(SIGPIPE, SIG_IGN);
    under_many_seeds(200, options, [&](std::uint32_t seed) {
        auto pair = support::tcp_pair();
        std::string bytes = pattern(1000, seed);
        auto const after = [&](int fd, ssize_t moved) {
            if (moved <= 0 || moved == 1000)
                return;
            ++midway;
            BOOST_TEST((seed % 2 == 0 ? recv_errno(fd) : send_errno(fd)) == ECONNRESET);
        };
        auto writer = weft::spawn([&] {
            int const fd = pair[1].get();
            after(fd, write_all(out[seed / 2 % out.size()], fd, bytes));
        });
        char buffer[1000];
        auto const how = seed / 8 % 2 == 0 ? reading::recv_all : reading::recvmsg_all;
        after(pair[0].get(), read_some(how, pair[0].get(), buffer, sizeof buffer));
        writer.join();
    });
    ::signal(SIGPIPE, before);
    BOOST_TEST(midway > 0U);
}

// A descriptor that is closed while a call on it is delayed: the call doesn't reach what gets its number.
BOOST_AUTO_TEST_CASE(a_delayed_call_does_not_outlive_its_descriptor) {
    weft::run([] {
        fault_injector const faults({.seed = 1, .delays = 1, .longest_delay = 0us});
        auto pair = support::unix_pair();
        ::send(pair[1].get(), "x", 1, 0);
        int const fd = pair[0].get();
        auto reader = weft::spawn([fd] { return recv_errno(fd); });
        weft::this_fiber::yield();
        pair[0].reset();
        auto reopened = support::unix_pair();
        BOOST_TEST(reader.get() == EBADF);
    });
}

BOOST_AUTO_TEST_CASE(the_same_seed_injects_the_same) {
    auto const counts_of = [](std::uint32_t seed) {
        fault_options options = everyday(seed);
        options.longest_delay = 0us;
        fault_injector const faults(options);
        weft::run([] {
            auto other = weft::spawn([] { echo(support::unix_pair(), writing::send, reading::recv, 5); });
            stream_pattern(support::pipe_pair(), writing::write, reading::read, 99'999);
            stream_pattern(support::unix_pair(), writing::sendmsg, reading::readv, 77'777);
        });
        return faults.counts();
    };
    fault_counts const first = counts_of(1);
    BOOST_TEST(first.faults() > 20U);
    for (int i = 0; i < 5; ++i)
        BOOST_TEST((counts_of(1) == first));
    BOOST_TEST(!(counts_of(2) == first));
}

BOOST_AUTO_TEST_CASE(workers_and_threads_share_one_injector) {
    fault_injector const faults(everyday(weft::testing::seed()));
    auto pair = support::tcp_pair(); // off fibers: as if there were none
    BOOST_TEST(faults.counts().calls == 0U);
    std::string const bytes = pattern(300'000);
    weft::run(
        [&] {
            weft::post(1, [&] {
                BOOST_TEST(::send(pair[1].get(), bytes.data(), bytes.size(), 0) ==
                           static_cast<ssize_t>(bytes.size()));
                pair[1].reset();
            });
            BOOST_TEST((read_until_end(reading::recv, pair[0].get(), 5000) == bytes));
        },
        support::with_workers(2));
    BOOST_TEST(faults.counts().faults() > 0U, "WEFT_TEST_SEED=" << faults.seed());
}

// Whatever another thread is about at that moment.
BOOST_AUTO_TEST_CASE(the_child_of_a_fork_goes_on_with_its_faults) {
    fault_injector const faults(everyday(weft::testing::seed()));
    std::jthread const busy([&](std::stop_token const& stop) {
        while (!stop.stop_requested())
            static_cast<void>(faults.counts());
    });
    weft::run([] {
        constexpr unsigned patience = 10; // seconds
        for (int i = 0; i < 100; ++i) {
            auto const child = support::in_child([] {
                ::alarm(patience);
                auto pair = support::unix_pair();
                return ::send(pair[1].get(), "x", 1, 0) == 1 && recv_errno(pair[0].get()) == 0 ? 0 : 1;
            });
            BOOST_REQUIRE(child.exited(0));
        }
    });
}

BOOST_AUTO_TEST_CASE(there_is_one_at_a_time_and_its_rates_make_sense) {
    {
        fault_injector const first({.seed = 1});
        BOOST_CHECK_THROW(fault_injector({.seed = 2}), std::logic_error);
        BOOST_TEST(first.seed() == 1U);
    }
    BOOST_CHECK_THROW(fault_injector({.short_reads = 1.1}), std::invalid_argument);
    BOOST_CHECK_THROW(fault_injector({.would_block = 1}), std::invalid_argument);
    BOOST_CHECK_THROW(fault_injector({.interruptions = -0.1}), std::invalid_argument);
    BOOST_CHECK_THROW(fault_injector({.delays = std::numeric_limits<double>::quiet_NaN()}),
                      std::invalid_argument);
    fault_injector const again({.seed = 3, .short_reads = 1});
    weft::run([] {
        auto pair = support::tcp_pair();
        ::send(pair[1].get(), "ab", 2, 0);
        char buffer[2];
        BOOST_TEST(::recv(pair[0].get(), buffer, 2, 0) == 1);
    });
    BOOST_TEST(again.counts().short_reads == 1U);
}

BOOST_AUTO_TEST_CASE(a_failure_tells_its_seed) {
    auto pipe = support::pipe_pair();
    support::unique_fd const kept(::dup(STDERR_FILENO));
    ::dup2(pipe[1].get(), STDERR_FILENO);
    try {
        fault_injector const faults({.seed = 123});
        throw std::runtime_error("the scenario failed");
    } catch (std::runtime_error const&) {
        fault_injector const unconcerned({.seed = 456});
    }
    ::dup2(kept.get(), STDERR_FILENO);
    pipe[1].reset();
    char text[200];
    ssize_t const n = ::read(pipe[0].get(), text, sizeof text);
    BOOST_TEST(std::string(text, static_cast<std::size_t>(std::max<ssize_t>(n, 0))) ==
               "weft: faults were injected with WEFT_TEST_SEED=123\n");
}
