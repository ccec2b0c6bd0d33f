// recvmsg, sendmsg and their plural forms: several buffers, control messages, descriptors that are passed on, errors that are
// queued, and the time limit of recvmmsg.
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstring>
#include <string>
#include <vector>

#include "corner_case.hpp"
#include "endpoints.hpp"
#include "other_side.hpp"

using namespace corner;
using namespace std::chrono_literals;

namespace {

// A message with two buffers of three and five bytes, an address and room for control messages.
struct letter {
    std::array<char, 3> head{};
    std::array<char, 5> tail{};
    std::array<iovec, 2> parts{{{head.data(), head.size()}, {tail.data(), tail.size()}}};
    sockaddr_storage address{};
    alignas(cmsghdr) std::array<char, 256> control{};
    msghdr header{};

    letter() { reset(); }
    letter(letter const&) = delete;
    letter& operator=(letter const&) = delete;
    ~letter() = default;

    void reset() {
        header = {};
        header.msg_name = &address;
        header.msg_namelen = sizeof address;
        header.msg_iov = parts.data();
        header.msg_iovlen = parts.size();
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        header.msg_flags = -1;
    }

    void show(long size) const {
        std::string const bytes =
            std::string(head.data(), head.size()) + std::string(tail.data(), tail.size());
        say("    \"%.*s\", flags %#x, name %u, control %zu, parts %zu", static_cast<int>(size > 0 ? size : 0),
            bytes.c_str(), static_cast<unsigned>(header.msg_flags), header.msg_namelen, header.msg_controllen,
            header.msg_iovlen);
    }
};

#define RECEIVE(fd, flags)                                                                                   \
    do {                                                                                                     \
        letter got;                                                                                          \
        long const size = recvmsg(fd, &got.header, flags);                                                   \
        ::corner::tell("recvmsg(" #fd ", " #flags ")", size);                                                \
        got.show(size);                                                                                      \
    } while (false)

long send_descriptors(int to, std::vector<int> const& fds, std::string const& bytes, int flags = 0) {
    std::array<iovec, 1> part{{{const_cast<char*>(bytes.data()), bytes.size()}}};
    alignas(cmsghdr) std::array<char, 256> control{};
    msghdr header{};
    header.msg_iov = part.data();
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
    return sendmsg(to, &header, flags);
}

// The descriptors that came with it.
std::vector<int> passed(msghdr& header) {
    std::vector<int> all;
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part))
        if (part->cmsg_type == SCM_RIGHTS) {
            all.resize((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            std::memcpy(all.data(), CMSG_DATA(part), all.size() * sizeof(int));
        }
    return all;
}

struct batch {
    static constexpr unsigned size = 4;
    std::array<std::array<char, 4>, size> bytes{};
    std::array<iovec, size> parts{};
    std::array<mmsghdr, size> all{};

    batch() {
        for (std::size_t i = 0; i < size; ++i) {
            bytes[i].fill(static_cast<char>('a' + i));
            parts[i] = {bytes[i].data(), bytes[i].size()};
            all[i].msg_hdr.msg_iov = &parts[i];
            all[i].msg_hdr.msg_iovlen = 1;
            all[i].msg_len = 77;
        }
    }
    batch(batch const&) = delete;
    batch& operator=(batch const&) = delete;
    ~batch() = default;

    void show() const {
        say("    lengths %u %u %u %u", all[0].msg_len, all[1].msg_len, all[2].msg_len, all[3].msg_len);
    }
};

} // namespace

CORNER_CASE(parts) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair(), make_unix_pair(SOCK_DGRAM),
                                    make_unix_pair(SOCK_SEQPACKET), make_udp_pair()}) {
        put(other, "abcdefghijkl");
        RECEIVE(one, MSG_PEEK);
        RECEIVE(one, 0);
        RECEIVE(one, MSG_DONTWAIT);
        RECEIVE(one, MSG_DONTWAIT);
        put(other, "ab");
        RECEIVE(one, MSG_TRUNC);
        put(other, "ab");
        RECEIVE(one, MSG_CMSG_CLOEXEC);
    }
}

CORNER_CASE(wait_for_all, .parks = 4) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair()}) {
        int const peer = other;
        std::atomic<bool> returned{false};
        other_side const sender([peer, &returned] {
            until_case_waits();
            put(peer, "ab");
            until_case_waits_again(returned);
            put(peer, "cdefghij");
            until_case_waits();
            close(peer);
        });
        about_to_wait();
        RECEIVE(one, MSG_WAITALL);
        about_to_wait();
        RECEIVE(one, MSG_WAITALL);
        RECEIVE(one, MSG_WAITALL);
    }
}

// A unix socket doesn't wait: it looks no further than what is there.
CORNER_CASE(wait_for_all_peeking, .parks = 1) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair()}) {
        std::atomic<bool> returned{false};
        put(other, "ab");
        other_side const sender([peer = other, &returned] {
            if (until_case_waits_again(returned))
                put(peer, "cdefghij");
        });
        RECEIVE(one, MSG_WAITALL | MSG_PEEK);
        returned = true;
        RECEIVE(one, MSG_DONTWAIT);
    }
}

CORNER_CASE(no_parts) {
    for (auto const [one, other] :
         {make_tcp_pair(), make_unix_pair(), make_unix_pair(SOCK_DGRAM), make_udp_pair()}) {
        msghdr none{};
        TELL(sendmsg(one, &none, 0));
        TELL(recvmsg(other, &none, MSG_DONTWAIT));
        TELL(recvmsg(other, &none, MSG_DONTWAIT));
        put(one, "abc");
        TELL(recvmsg(other, &none, 0));
        TELL(recvmsg(other, &none, MSG_WAITALL | MSG_DONTWAIT));
        std::array<iovec, 2> parts{{{nullptr, 0}, {nullptr, 0}}};
        none.msg_iov = parts.data();
        none.msg_iovlen = 2;
        TELL(sendmsg(one, &none, 0));
        TELL(recvmsg(other, &none, MSG_DONTWAIT));
    }
}

CORNER_CASE(part_counts) {
    std::vector<char> bytes(IOV_MAX + 1, 'x');
    std::vector<iovec> parts;
    for (char& byte : bytes)
        parts.push_back({&byte, 1});
    auto const [one, other] = make_unix_pair();
    auto const [reader, writer] = make_pipe();
    msghdr header{};
    header.msg_iov = parts.data();
    for (std::size_t const count :
         {std::size_t{IOV_MAX}, std::size_t{IOV_MAX} + 1, SIZE_MAX, SIZE_MAX / 16 + 2}) {
        header.msg_iovlen = count;
        TELL(sendmsg(one, &header, 0));
        TELL(recvmsg(other, &header, MSG_DONTWAIT));
        int const small = count > INT_MAX ? -1 : static_cast<int>(count);
        TELL(writev(one, parts.data(), small));
        TELL(readv(other, parts.data(), small));
        TELL(writev(writer, parts.data(), small));
        TELL(readv(reader, parts.data(), small));
    }
    TELL(writev(writer, parts.data(), INT_MIN));
    TELL(readv(reader, parts.data(), INT_MIN));
    TELL(readv(other, parts.data(), INT_MAX));
}

CORNER_CASE(part_lengths) {
    std::array<char, 8> bytes{};
    auto const [one, other] = make_unix_pair();
    auto const [t1, t2] = make_tcp_pair();
    auto const [reader, writer] = make_pipe();
    for (std::size_t const length :
         {SIZE_MAX, static_cast<std::size_t>(SSIZE_MAX), static_cast<std::size_t>(SSIZE_MAX) + 1}) {
        std::array<iovec, 2> parts{{{bytes.data(), 4}, {bytes.data(), length}}};
        msghdr header{};
        header.msg_iov = parts.data();
        header.msg_iovlen = 2;
        for (int const fd : {one, t1, writer}) {
            TELL(writev(fd, parts.data(), 2));
            TELL(sendmsg(fd, &header, MSG_DONTWAIT));
        }
        put(one, "abcdefgh");
        put(t1, "abcdefgh");
        put(writer, "abcdefgh");
        for (int const fd : {other, t2, reader}) {
            TELL(readv(fd, parts.data(), 2));
            TELL(recvmsg(fd, &header, MSG_DONTWAIT));
            TELL(recvmsg(fd, &header, MSG_DONTWAIT | MSG_PEEK));
        }
        drain(one, 0);
    }
}

CORNER_CASE(passing_descriptors, .parks = 3) {
    auto const [one, other] = make_unix_pair();
    auto const [reader, writer] = make_pipe();
    int const peer = other;
    int const passing = reader;
    other_side const sender([peer, passing] {
        until_case_waits();
        send_descriptors(peer, {passing, passing}, "ab");
    });
    about_to_wait();
    letter got;
    TELL(recvmsg(one, &got.header, 0));
    got.show(2);
    std::vector<int> const fds = passed(got.header);
    say("%zu descriptors, %d and %d further on", fds.size(), fds[0] - writer, fds[1] - writer);
    put(writer, "through a descriptor");
    std::array<char, 8> bytes{};
    TELL(read(fds[0], bytes.data(), bytes.size()));
    TELL(read(fds[1], bytes.data(), bytes.size()));
    TELL(read(reader, bytes.data(), bytes.size()));
    other_side const writing([to = writer] {
        until_case_waits();
        put(to, "x");
        until_case_waits();
        close(to);
    });
    about_to_wait();
    TELL(read(fds[1], bytes.data(), bytes.size()));
    about_to_wait();
    TELL(read(fds[0], bytes.data(), bytes.size()));
}

CORNER_CASE(descriptors_end_what_is_received_together) {
    auto const [one, other] = make_unix_pair();
    TELL(send_descriptors(other, {0}, "ab"));
    TELL(send_descriptors(other, {0}, "cd"));
    put(other, "ef");
    RECEIVE(one, 0);
    RECEIVE(one, MSG_WAITALL | MSG_DONTWAIT);
    RECEIVE(one, MSG_DONTWAIT);
    RECEIVE(one, MSG_DONTWAIT);
    put(other, "ef");
    TELL(send_descriptors(other, {0}, "ab"));
    put(other, "gh");
    set_timeout(one, SO_RCVTIMEO, 20);
    RECEIVE(one, MSG_WAITALL);
    RECEIVE(one, MSG_WAITALL);
    RECEIVE(one, MSG_DONTWAIT);
}

CORNER_CASE(no_room_for_descriptors) {
    auto const [one, other] = make_unix_pair();
    TELL(send_descriptors(other, {0, 1, 2}, "ab"));
    letter got;
    got.header.msg_controllen = CMSG_LEN(2 * sizeof(int));
    TELL(recvmsg(one, &got.header, 0));
    got.show(2);
    say("%zu descriptors", passed(got.header).size());
    TELL(send_descriptors(other, {0}, "ab"));
    got.reset();
    got.header.msg_controllen = 0;
    TELL(recvmsg(one, &got.header, 0));
    got.show(2);
    TELL(send_descriptors(other, {0}, "ab"));
    TELL(recv(one, got.head.data(), 2, 0));
    TELL(send_descriptors(other, {0}, "ab"));
    TELL(read(one, got.head.data(), 2));
    TELL(send_descriptors(other, {-1}, "ab"));
    TELL(send_descriptors(other, {4711}, "ab"));
    TELL(send_descriptors(other, {0}, ""));
    TELL(recv(one, got.head.data(), 2, MSG_DONTWAIT));
    auto const [t1, t2] = make_tcp_pair();
    TELL(send_descriptors(t1, {0}, "ab"));
    TELL(recv(t2, got.head.data(), 3, MSG_DONTWAIT));
}

CORNER_CASE(descriptors_close_on_exec) {
    auto const [one, other] = make_unix_pair();
    TELL(send_descriptors(other, {0}, "ab"));
    letter got;
    TELL(recvmsg(one, &got.header, MSG_CMSG_CLOEXEC));
    got.show(2);
    TELL(fcntl(passed(got.header).at(0), F_GETFD));
    TELL(send_descriptors(other, {0}, "ab"));
    got.reset();
    TELL(recvmsg(one, &got.header, MSG_PEEK));
    got.show(2);
    TELL(fcntl(passed(got.header).at(0), F_GETFD));
    got.reset();
    TELL(recvmsg(one, &got.header, 0));
    TELL(fcntl(passed(got.header).at(0), F_GETFD));
}

CORNER_CASE(credentials, .parks = 1) {
    auto const [one, other] = make_unix_pair();
    int const yes = 1;
    TELL(setsockopt(one, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes));
    other_side const sender([peer = other] {
        until_case_waits();
        put(peer, "abcd");
    });
    about_to_wait();
    letter first;
    TELL(recvmsg(one, &first.header, 0));
    first.show(4);
    put(other, "abcd");
    put(other, "efgh");
    RECEIVE(one, MSG_WAITALL);
}

CORNER_CASE(errors_in_the_queue) {
    auto const [one, other] = make_udp_pair();
    int const yes = 1;
    TELL(setsockopt(one, IPPROTO_IP, IP_RECVERR, &yes, sizeof yes));
    RECEIVE(one, MSG_ERRQUEUE);
    close(other);
    TELL(send(one, "abc", 3, 0));
    RECEIVE(one, MSG_ERRQUEUE);
    TELL(send(one, "abc", 3, 0));
    RECEIVE(one, 0);
    RECEIVE(one, MSG_ERRQUEUE | MSG_DONTWAIT);
    RECEIVE(one, MSG_ERRQUEUE);
    TELL(send(one, "abc", 3, 0));
    TELL(send(one, "abc", 3, 0));
}

CORNER_CASE(bad_control_messages) {
    auto const [one, other] = make_unix_pair();
    letter out;
    out.header.msg_name = nullptr;
    out.header.msg_namelen = 0;
    auto* const part = reinterpret_cast<cmsghdr*>(out.control.data());
    for (std::size_t const length :
         {std::size_t{0}, std::size_t{3}, CMSG_LEN(0), CMSG_LEN(5), std::size_t{4000}, SIZE_MAX}) {
        *part = {};
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = length;
        TELL(sendmsg(one, &out.header, 0));
        TELL(recv(other, out.head.data(), 3, MSG_DONTWAIT));
        TELL(recv(other, out.tail.data(), 5, MSG_DONTWAIT));
    }
    for (std::size_t const length : {SIZE_MAX, std::size_t{INT_MAX}, std::size_t{1} << 31}) {
        out.header.msg_controllen = length;
        TELL(sendmsg(one, &out.header, 0));
    }
    out.header.msg_controllen = 0;
    TELL(sendmsg(one, &out.header, 0));
    part->cmsg_len = CMSG_LEN(4);
    part->cmsg_type = 77;
    out.header.msg_controllen = CMSG_SPACE(4);
    TELL(sendmsg(one, &out.header, 0));
}

CORNER_CASE(bad_names) {
    auto const [one, other] = make_udp_pair();
    letter out;
    for (socklen_t const length : {0U, 1U, 128U, 129U, 4000U, ~0U}) {
        out.reset();
        out.header.msg_namelen = length;
        TELL(sendmsg(one, &out.header, 0));
        out.reset();
        out.header.msg_namelen = length;
        put(other, "abc");
        TELL(recvmsg(one, &out.header, MSG_DONTWAIT));
        TELL(recv(one, out.head.data(), 3, MSG_DONTWAIT));
    }
}

CORNER_CASE(sending_waits_for_room, .parks = 2) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair()}) {
        std::string const much(std::size_t{8} << 20, 'x');
        other_side const reader([peer = other, &much] {
            until_case_waits();
            drain(peer, 2 * much.size());
        });
        std::array<iovec, 2> parts{
            {{const_cast<char*>(much.data()), much.size()}, {const_cast<char*>(much.data()), much.size()}}};
        msghdr header{};
        header.msg_iov = parts.data();
        header.msg_iovlen = 2;
        about_to_wait();
        TELL(sendmsg(one, &header, 0));
        say("    parts %zu, first %zu", header.msg_iovlen, parts[0].iov_len);
    }
}

CORNER_CASE(descriptors_go_with_the_first_bytes, .parks = 1) {
    auto const [one, other] = make_unix_pair();
    std::string const much(std::size_t{2} << 20, 'x');
    long got_at_once = 0;
    std::size_t fds = 0;
    other_side const reader([&, peer = other] {
        until_case_waits();
        letter got;
        got_at_once = recvmsg(peer, &got.header, 0);
        fds = passed(got.header).size();
        drain(peer, much.size() - 8);
    });
    about_to_wait();
    TELL(send_descriptors(one, {0, 1}, much));
    while (fds == 0)
        let_others_run();
    TELL(got_at_once);
    TELL(fds);
}

CORNER_CASE(many_messages, .parks = 4) {
    for (auto const [one, other] :
         {make_udp_pair(), make_unix_pair(SOCK_DGRAM), make_unix_pair(SOCK_SEQPACKET), make_unix_pair()}) {
        other_side const sender([peer = other] {
            until_case_waits();
            batch out;
            sendmmsg(peer, out.all.data(), 3, 0);
        });
        batch in;
        about_to_wait();
        TELL(recvmmsg(one, in.all.data(), 3, 0, nullptr));
        in.show();
        TELL(recvmmsg(one, in.all.data(), 3, MSG_DONTWAIT, nullptr));
        batch out;
        TELL(sendmmsg(other, out.all.data(), 4, 0));
        out.show();
        TELL(recvmmsg(one, in.all.data(), 4, MSG_WAITFORONE, nullptr));
        in.show();
        TELL(sendmmsg(other, out.all.data(), 2, 0));
        TELL(recvmmsg(one, in.all.data(), 4, MSG_WAITFORONE, nullptr));
        TELL(sendmmsg(other, out.all.data(), 2, 0));
        TELL(recvmmsg(one, in.all.data(), 4, MSG_DONTWAIT, nullptr));
    }
}

CORNER_CASE(no_messages) {
    auto const [one, other] = make_udp_pair();
    batch some;
    TELL(recvmmsg(one, some.all.data(), 0, 0, nullptr));
    TELL(sendmmsg(one, some.all.data(), 0, 0));
    TELL(recvmmsg(one, nullptr, 0, 0, nullptr));
    TELL(sendmmsg(one, nullptr, 0, 0));
    timespec none{};
    TELL(recvmmsg(one, some.all.data(), 0, 0, &none));
    timespec const bad{.tv_sec = 0, .tv_nsec = 1'000'000'000};
    timespec limit = bad;
    TELL(recvmmsg(one, some.all.data(), 1, MSG_DONTWAIT, &limit));
    TELL(recvmmsg(one, some.all.data(), 1, 0, &limit));
    limit = {.tv_sec = -1, .tv_nsec = 0};
    TELL(recvmmsg(one, some.all.data(), 1, 0, &limit));
    TELL(recvmmsg(one, some.all.data(), 0, 0, &limit));
    TELL(recvmmsg(-1, some.all.data(), 1, 0, &limit));
    TELL(recvmmsg(-1, some.all.data(), 0, 0, nullptr));
    TELL(sendmmsg(-1, some.all.data(), 0, 0));
    auto const [reader, writer] = make_pipe();
    TELL(recvmmsg(reader, some.all.data(), 1, 0, nullptr));
    TELL(sendmmsg(writer, some.all.data(), 1, 0));
}

CORNER_CASE(a_time_limit_for_messages) {
    auto const [one, other] = make_udp_pair();
    batch in;
    put(other, "abc");
    put(other, "def");
    timespec limit{};
    TELL(recvmmsg(one, in.all.data(), 4, 0, &limit));
    say("    left %ld %ld", static_cast<long>(limit.tv_sec), limit.tv_nsec);
    limit = {.tv_sec = 5, .tv_nsec = 0};
    put(other, "ghi");
    TELL(recvmmsg(one, in.all.data(), 2, 0, &limit));
    TELL_FACT(limit.tv_sec == 4 && limit.tv_nsec > 0);
    put(other, "ghi");
    limit = {.tv_sec = 5, .tv_nsec = 0};
    TELL(recvmmsg(one, in.all.data(), 4, MSG_WAITFORONE, &limit));
    TELL_FACT(limit.tv_sec == 4 && limit.tv_nsec > 0);
    limit = {.tv_sec = 5, .tv_nsec = 0};
    TELL(recvmmsg(one, in.all.data(), 4, MSG_DONTWAIT, &limit));
    say("    left %ld %ld", static_cast<long>(limit.tv_sec), limit.tv_nsec);
}

CORNER_CASE(an_error_after_messages, .parks = 1) {
    auto const [one, other] = make_udp_pair();
    set_timeout(one, SO_RCVTIMEO, 30);
    put(other, "abc");
    batch in;
    TELL(recvmmsg(one, in.all.data(), 4, 0, nullptr));
    TELL(recvmmsg(one, in.all.data(), 4, MSG_DONTWAIT, nullptr));
    put(other, "abc");
    close(other);
    send(one, "x", 1, 0);
    TELL(recvmmsg(one, in.all.data(), 4, 0, nullptr));
    TELL(recvmmsg(one, in.all.data(), 4, 0, nullptr));
}

CORNER_CASE(more_messages_than_the_kernel_takes) {
    std::vector<char> bytes(2000, 'x');
    std::vector<iovec> parts(bytes.size());
    std::vector<mmsghdr> all(bytes.size());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        parts[i] = {&bytes[i], 1};
        all[i].msg_hdr.msg_iov = &parts[i];
        all[i].msg_hdr.msg_iovlen = 1;
    }
    auto const [one, other] = make_unix_pair();
    TELL(sendmmsg(one, all.data(), 2000, MSG_DONTWAIT) > 0);
    auto const [d1, d2] = make_udp_pair();
    TELL(sendmmsg(d1, all.data(), 2000, 0));
    TELL(recvmmsg(d2, all.data(), 100, 0, nullptr));
    TELL(recvmmsg(d2, all.data(), 0xffff'ffffU, MSG_DONTWAIT | MSG_WAITFORONE, nullptr) > 0);
    TELL(sendmmsg(d1, all.data(), 0xffff'ffffU, 0));
}

CORNER_CASE(a_bad_message_among_good_ones) {
    auto const [one, other] = make_udp_pair();
    batch out;
    out.parts[2].iov_base = nullptr;
    TELL(sendmmsg(one, out.all.data(), 4, 0));
    out.show();
    batch in;
    in.parts[1].iov_base = nullptr;
    TELL(recvmmsg(other, in.all.data(), 2, MSG_DONTWAIT, nullptr));
    in.show();
    TELL(recvmmsg(other, in.all.data(), 2, MSG_DONTWAIT, nullptr));
    auto const [s1, s2] = make_unix_pair();
    batch again;
    again.parts[1].iov_base = nullptr;
    TELL(sendmmsg(s1, again.all.data(), 4, 0));
    again.show();
    TELL(recv(s2, in.bytes[0].data(), 4, 0));
    TELL(recv(s2, in.bytes[0].data(), 4, MSG_DONTWAIT));
}
