// Bytes from one descriptor to another, and several messages at once: between fibers of one worker, so that whoever blocked the
// thread would wait for ever.
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/sockets.hpp"

namespace {

support::unique_fd file_of(std::string const& bytes) {
    support::unique_fd file(::open("/tmp", O_TMPFILE | O_RDWR, 0600));
    BOOST_REQUIRE(::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    return file;
}

std::string receive_all(int fd) {
    std::string all;
    std::array<char, 5000> buffer{};
    for (ssize_t n = 0; (n = ::recv(fd, buffer.data(), buffer.size(), 0)) > 0;)
        all.append(buffer.data(), static_cast<std::size_t>(n));
    return all;
}

// More than any socket's buffers take.
constexpr std::size_t much = 20'000'000;

} // namespace

BOOST_AUTO_TEST_CASE(a_file_is_sent_to_a_slow_reader) {
    weft::run([] {
        std::string const bytes = support::pattern(much);
        auto const file = file_of(bytes);
        auto pair = support::tcp_pair();
        auto reader = weft::spawn([&] { return receive_all(pair[0].get()); });
        off_t offset = 7;
        BOOST_TEST(::sendfile(pair[1].get(), file.get(), &offset, much) == static_cast<ssize_t>(much - 7));
        BOOST_TEST(offset == static_cast<off_t>(much));
        BOOST_TEST(::lseek(file.get(), 0, SEEK_CUR) == static_cast<off_t>(much)); // as it was
        ::lseek(file.get(), 5, SEEK_SET);
        BOOST_TEST(::sendfile(pair[1].get(), file.get(), nullptr, 10) == 10);
        BOOST_TEST(::lseek(file.get(), 0, SEEK_CUR) == 15);
        pair[1].reset();
        std::string const got = reader.get();
        BOOST_TEST((got == bytes.substr(7) + bytes.substr(5, 10)));
    });
}

BOOST_AUTO_TEST_CASE(splice_carries_everything_through_a_pipe) {
    weft::run([] {
        std::string const bytes = support::pattern(2'000'000);
        auto in = support::tcp_pair();
        auto out = support::tcp_pair();
        auto pipe = support::pipe_pair();
        auto writer = weft::spawn([&] {
            BOOST_TEST(::send(in[0].get(), bytes.data(), bytes.size(), 0) ==
                       static_cast<ssize_t>(bytes.size()));
            in[0].reset();
        });
        auto const carry = [&](int from, int to) {
            std::size_t sum = 0;
            for (ssize_t n = 0; (n = ::splice(from, nullptr, to, nullptr, 1'000'000, 0)) > 0;)
                sum += static_cast<std::size_t>(n);
            return sum;
        };
        auto first = weft::spawn([&] {
            std::size_t const sum = carry(in[1].get(), pipe[1].get());
            pipe[1].reset();
            return sum;
        });
        auto second = weft::spawn([&] {
            std::size_t const sum = carry(pipe[0].get(), out[0].get());
            out[0].reset();
            return sum;
        });
        BOOST_TEST((receive_all(out[1].get()) == bytes));
        BOOST_TEST(first.get() == bytes.size());
        BOOST_TEST(second.get() == bytes.size());
    });
}

BOOST_AUTO_TEST_CASE(tee_and_vmsplice_wait_for_pipes) {
    weft::run([] {
        auto one = support::pipe_pair();
        auto two = support::pipe_pair();
        auto teeing = weft::spawn([&] { return ::tee(one[0].get(), two[1].get(), 100, 0); });
        weft::this_fiber::yield();
        std::string bytes(200'000, 'v');
        iovec const part{.iov_base = bytes.data(), .iov_len = bytes.size()};
        auto filling = weft::spawn([&] {
            std::size_t sum = 0;
            for (iovec rest = part; rest.iov_len > 0;) {
                ssize_t const n = ::vmsplice(one[1].get(), &rest, 1, 0);
                if (n <= 0)
                    break;
                sum += static_cast<std::size_t>(n);
                rest.iov_base = static_cast<char*>(rest.iov_base) + n;
                rest.iov_len -= static_cast<std::size_t>(n);
            }
            one[1].reset();
            return sum;
        });
        BOOST_TEST(teeing.get() == 100);
        std::array<char, 3000> buffer{};
        std::size_t drained = 0;
        for (ssize_t n = 0; (n = ::read(one[0].get(), buffer.data(), buffer.size())) > 0;)
            drained += static_cast<std::size_t>(n);
        BOOST_TEST(drained == bytes.size());
        BOOST_TEST(filling.get() == bytes.size());
        BOOST_TEST(::read(two[0].get(), buffer.data(), buffer.size()) == 100);
    });
}

BOOST_AUTO_TEST_CASE(several_messages_are_waited_for) {
    weft::run([] {
        std::array<int, 2> ends{};
        BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data()) == 0);
        support::unique_fd const from(ends[0]);
        support::unique_fd const to(ends[1]);
        constexpr unsigned count = 1000; // more than the queue takes
        auto receiver = weft::spawn([&] {
            std::vector<std::array<char, 8>> bytes(count);
            std::vector<iovec> parts(count);
            std::vector<mmsghdr> messages(count);
            for (unsigned i = 0; i < count; ++i) {
                parts[i] = {.iov_base = bytes[i].data(), .iov_len = bytes[i].size()};
                messages[i].msg_hdr.msg_iov = &parts[i];
                messages[i].msg_hdr.msg_iovlen = 1;
            }
            BOOST_TEST(::recvmmsg(to.get(), messages.data(), count, 0, nullptr) == static_cast<int>(count));
            for (unsigned i = 0; i < count; ++i)
                BOOST_TEST(std::string(bytes[i].data(), messages[i].msg_len) == std::to_string(i));
        });
        std::vector<std::string> texts;
        for (unsigned i = 0; i < count; ++i)
            texts.push_back(std::to_string(i));
        std::vector<iovec> parts(count);
        std::vector<mmsghdr> messages(count);
        for (unsigned i = 0; i < count; ++i) {
            parts[i] = {.iov_base = texts[i].data(), .iov_len = texts[i].size()};
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        BOOST_TEST(::sendmmsg(from.get(), messages.data(), count, 0) == static_cast<int>(count));
        BOOST_TEST(messages[count - 1].msg_len == 3U);
        receiver.join();
    });
}

// A message over a stream is sent as a whole, however little room there is; MSG_WAITALL takes it so.
BOOST_AUTO_TEST_CASE(messages_over_a_stream) {
    weft::run([] {
        auto pair = support::tcp_pair();
        std::array<std::string, 2> texts{support::pattern(5'000'000), support::pattern(3'000'000)};
        auto receiver = weft::spawn([&] {
            std::string first(4'000'000, '\0');
            std::string second(4'000'000, '\0');
            std::array<iovec, 2> parts{{{first.data(), first.size()}, {second.data(), second.size()}}};
            msghdr message{};
            message.msg_iov = parts.data();
            message.msg_iovlen = parts.size();
            BOOST_TEST(::recvmsg(pair[0].get(), &message, MSG_WAITALL) == 8'000'000);
            BOOST_TEST((first + second == texts[0] + texts[1]));
        });
        std::array<iovec, 2> parts{{{texts[0].data(), texts[0].size()}, {texts[1].data(), texts[1].size()}}};
        std::array<mmsghdr, 2> messages{};
        for (std::size_t i = 0; i < 2; ++i) {
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        BOOST_TEST(::sendmmsg(pair[1].get(), messages.data(), 2, 0) == 2);
        BOOST_TEST(messages[0].msg_len == 5'000'000U);
        BOOST_TEST(messages[1].msg_len == 3'000'000U);
        receiver.join();
    });
}
