// Stream and datagram sockets: receiving, sending, accepting, connecting.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include "corner_case.hpp"
#include "endpoints.hpp"
#include "other_side.hpp"

using namespace corner;

namespace {

std::array<char, 64> buffer{};

// What the last call has put there.
void tell_buffer(ssize_t size) { say("buffer: %.*s", static_cast<int>(size > 0 ? size : 0), buffer.data()); }

void nothing_of_everything(int fd, int peer) {
    // Nothing is there to be read: does a read of nothing wait for it?
    TELL(read(fd, buffer.data(), 0));
    TELL(write(fd, buffer.data(), 0));
    iovec const none[2] = {{buffer.data(), 0}, {buffer.data(), 0}};
    TELL(readv(fd, none, 2));
    TELL(writev(fd, none, 2));
    TELL(readv(fd, none, 0));
    TELL(writev(fd, none, 0));
    TELL(recv(peer, buffer.data(), buffer.size(), MSG_DONTWAIT));
    TELL(recv(peer, buffer.data(), buffer.size(), MSG_DONTWAIT));
    TELL(send(fd, buffer.data(), 0, 0));
    TELL(recv(peer, buffer.data(), buffer.size(), MSG_DONTWAIT));
    put(peer, "abc");
    TELL(recv(fd, buffer.data(), 0, MSG_PEEK));
    TELL(recv(fd, buffer.data(), 0, 0));
    TELL(recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT));
}

// The peer's end, in such a way that its other end hears of an error.
void reset_connection(int fd) {
    linger const at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

// Another number of the socket, of which weft knows nothing.
int dup_behind_the_back(int fd) { return static_cast<int>(syscall(SYS_dup, fd)); }

} // namespace

CORNER_CASE(nothing_on_tcp) {
    auto const [one, other] = make_tcp_pair();
    nothing_of_everything(one, other);
    TELL(recv(one, buffer.data(), 0, MSG_DONTWAIT));
}

CORNER_CASE(nothing_on_unix_stream) {
    auto const [one, other] = make_unix_pair();
    nothing_of_everything(one, other);
    TELL(recv(one, buffer.data(), 0, MSG_DONTWAIT));
}

CORNER_CASE(nothing_on_unix_datagrams) {
    auto const [one, other] = make_unix_pair(SOCK_DGRAM);
    nothing_of_everything(one, other);
}

CORNER_CASE(nothing_on_unix_packets) {
    auto const [one, other] = make_unix_pair(SOCK_SEQPACKET);
    nothing_of_everything(one, other);
}

CORNER_CASE(nothing_on_udp) {
    auto const [one, other] = make_udp_pair();
    nothing_of_everything(one, other);
}

CORNER_CASE(recv_of_nothing_waits, .parks = 1) {
    auto const [one, other] = make_tcp_pair();
    int const peer = other;
    other_side const sender([peer] {
        until_case_waits();
        put(peer, "x");
    });
    set_timeout(one, SO_RCVTIMEO, 5000);
    about_to_wait();
    TELL(recv(one, buffer.data(), 0, 0));
    TELL(recv(one, buffer.data(), 8, 0));
}

CORNER_CASE(recv_waits_for_data, .parks = 6) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair(), make_unix_pair(SOCK_DGRAM),
                                    make_unix_pair(SOCK_SEQPACKET), make_udp_pair()}) {
        int const peer = other;
        other_side const sender([peer] {
            until_case_waits();
            put(peer, "abc");
            until_case_waits();
            put(peer, "defg");
        });
        about_to_wait();
        TELL(recv(one, buffer.data(), buffer.size(), 0));
        about_to_wait();
        TELL(read(one, buffer.data(), 2));
        TELL(recv(one, buffer.data(), buffer.size(), MSG_DONTWAIT));
    }
}

CORNER_CASE(end_of_stream, .parks = 2) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair()}) {
        int const peer = other;
        other_side const closer([peer] {
            until_case_waits();
            shutdown(peer, SHUT_WR);
        });
        about_to_wait();
        TELL(recv(one, buffer.data(), 8, 0));
        TELL(recv(one, buffer.data(), 8, 0));
        TELL(recv(one, buffer.data(), 8, MSG_WAITALL));
        TELL(recv(one, buffer.data(), 8, MSG_PEEK));
        TELL(read(one, buffer.data(), 8));
        TELL(recv(one, buffer.data(), 0, 0));
        TELL(send(one, "x", 1, 0));
    }
}

CORNER_CASE(packets_end_with_nothing, .parks = 1) {
    auto const [one, other] = make_unix_pair(SOCK_SEQPACKET);
    int const peer = other;
    other_side const closer([peer] {
        until_case_waits();
        close(peer);
    });
    about_to_wait();
    TELL(recv(one, buffer.data(), 8, 0));
    TELL(recv(one, buffer.data(), 8, MSG_WAITALL));
    TELL(send(one, "x", 1, MSG_NOSIGNAL));
}

CORNER_CASE(short_reads) {
    auto const [one, other] = make_tcp_pair();
    put(other, "abcdefgh");
    TELL(recv(one, buffer.data(), 3, 0));
    TELL(recv(one, buffer.data(), 64, 0));
    put(other, "ij");
    TELL(recv(one, buffer.data(), 64, 0));
    put(other, "kl");
    TELL(recv(one, buffer.data(), 2, 0));
    shutdown(other, SHUT_WR);
    TELL(recv(one, buffer.data(), 64, 0));
}

CORNER_CASE(peek, .parks = 2) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair()}) {
        int const peer = other;
        other_side const sender([peer] {
            until_case_waits();
            put(peer, "abcdef");
        });
        about_to_wait();
        TELL(recv(one, buffer.data(), 3, MSG_PEEK));
        TELL(recv(one, buffer.data(), 64, MSG_PEEK));
        tell_buffer(6);
        TELL(recv(one, buffer.data(), 2, 0));
        TELL(recv(one, buffer.data(), 64, MSG_PEEK));
        tell_buffer(4);
        TELL(recv(one, buffer.data(), 64, 0));
        TELL(recv(one, buffer.data(), 64, MSG_PEEK | MSG_DONTWAIT));
    }
}

CORNER_CASE(peek_offset) {
    auto const [one, other] = make_unix_pair();
    int const offset = 2;
    TELL(setsockopt(one, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset));
    put(other, "abcdefgh");
    TELL(recv(one, buffer.data(), 3, MSG_PEEK));
    tell_buffer(3);
    TELL(recv(one, buffer.data(), 64, MSG_PEEK));
    tell_buffer(3);
    TELL(recv(one, buffer.data(), 4, 0));
    tell_buffer(4);
    TELL(recv(one, buffer.data(), 64, 0));
    tell_buffer(4);
}

CORNER_CASE(wait_for_all, .parks = 4) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair()}) {
        int const peer = other;
        std::atomic<bool> returned{false};
        other_side const sender([peer, &returned] {
            until_case_waits();
            put(peer, "abc");
            until_case_waits_again(returned);
            put(peer, "defgh");
            until_case_waits();
            put(peer, "ij");
            until_case_waits_again(returned);
            shutdown(peer, SHUT_WR);
        });
        about_to_wait();
        TELL(recv(one, buffer.data(), 6, MSG_WAITALL));
        tell_buffer(6);
        about_to_wait();
        TELL(recv(one, buffer.data(), 16, MSG_WAITALL));
        tell_buffer(4);
        TELL(recv(one, buffer.data(), 16, MSG_WAITALL));
    }
}

CORNER_CASE(wait_for_all_with_others) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair()}) {
        put(other, "abc");
        TELL(recv(one, buffer.data(), 16, MSG_WAITALL | MSG_DONTWAIT));
        TELL(recv(one, buffer.data(), 16, MSG_WAITALL | MSG_DONTWAIT));
        put(other, "abc");
        set_nonblocking(one, true);
        TELL(recv(one, buffer.data(), 16, MSG_WAITALL));
        TELL(recv(one, buffer.data(), 16, MSG_WAITALL));
        set_nonblocking(one, false);
    }
    auto const [one, other] = make_unix_pair(SOCK_DGRAM);
    put(other, "abc");
    TELL(recv(one, buffer.data(), 16, MSG_WAITALL));
}

CORNER_CASE(wait_for_all_until_a_timeout, .parks = 2) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair()}) {
        set_timeout(one, SO_RCVTIMEO, 30);
        put(other, "abc");
        TELL(recv(one, buffer.data(), 16, MSG_WAITALL));
        TELL(recv(one, buffer.data(), 16, MSG_WAITALL));
    }
}

// A unix socket doesn't wait: it looks no further than what is there.
CORNER_CASE(wait_for_all_with_peek, .parks = 1) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair()}) {
        std::atomic<bool> returned{false};
        put(other, "abc");
        other_side const sender([peer = other, &returned] {
            if (until_case_waits_again(returned))
                put(peer, "defgh");
        });
        ssize_t size = 0;
        TELL(size = recv(one, buffer.data(), 8, MSG_WAITALL | MSG_PEEK));
        tell_buffer(size);
        returned = true;
        TELL(recv(one, buffer.data(), 8, MSG_DONTWAIT));
    }
    auto const [one, other] = make_unix_pair();
    set_timeout(one, SO_RCVTIMEO, 20);
    TELL(recv(one, buffer.data(), 8, MSG_WAITALL | MSG_PEEK));
}

CORNER_CASE(truncated_datagrams) {
    for (auto const [one, other] :
         {make_udp_pair(), make_unix_pair(SOCK_DGRAM), make_unix_pair(SOCK_SEQPACKET)}) {
        put(other, "abcdef");
        put(other, "gh");
        TELL(recv(one, buffer.data(), 3, MSG_TRUNC | MSG_PEEK));
        TELL(recv(one, buffer.data(), 3, MSG_TRUNC));
        TELL(recv(one, buffer.data(), 1, 0));
        TELL(recv(one, buffer.data(), 3, MSG_DONTWAIT));
    }
    auto const [one, other] = make_tcp_pair();
    put(other, "abcdef");
    TELL(recv(one, nullptr, 4, MSG_TRUNC));
    TELL(recv(one, buffer.data(), 64, 0));
    tell_buffer(2);
}

CORNER_CASE(out_of_band, .parks = 1) {
    auto const [one, other] = make_tcp_pair();
    TELL(recv(one, buffer.data(), 1, MSG_OOB));
    TELL(send(other, "abX", 3, MSG_OOB));
    pollfd urgent{.fd = one, .events = POLLPRI, .revents = 0};
    TELL(poll(&urgent, 1, 5000));
    TELL(recv(one, buffer.data(), 64, 0));
    TELL(recv(one, buffer.data(), 1, MSG_OOB));
    tell_buffer(1);
    TELL(recv(one, buffer.data(), 1, MSG_OOB));
    put(other, "cd");
    TELL(recv(one, buffer.data(), 64, 0));
    int const yes = 1;
    TELL(setsockopt(one, SOL_SOCKET, SO_OOBINLINE, &yes, sizeof yes));
    TELL(send(other, "efY", 3, MSG_OOB));
    TELL(poll(&urgent, 1, 5000));
    TELL(recv(one, buffer.data(), 64, 0));
    TELL(recv(one, buffer.data(), 64, 0));
    int const peer = other;
    other_side const sender([peer] {
        until_case_waits();
        send(peer, "Z", 1, MSG_OOB);
    });
    about_to_wait();
    TELL(recv(one, buffer.data(), 64, 0));
}

CORNER_CASE(non_blocking_by_every_means) {
    auto const [one, other] = make_tcp_pair();
    TELL(fcntl(one, F_SETFL, O_NONBLOCK));
    TELL(recv(one, buffer.data(), 8, 0));
    TELL(read(one, buffer.data(), 8));
    TELL(recv(one, buffer.data(), 8, MSG_WAITALL));
    TELL(fcntl(one, F_SETFL, 0));
    int on = 1;
    TELL(ioctl(one, FIONBIO, &on));
    TELL(recv(one, buffer.data(), 8, 0));
    TELL(fcntl(one, F_GETFL) & O_NONBLOCK ? 1 : 0);
    TELL(fill(one) > 0);
    TELL(send(one, "x", 1, 0));
    TELL(write(one, "x", 1));
    on = 0;
    TELL(ioctl(one, FIONBIO, &on));
    TELL(fcntl(one, F_GETFL) & O_NONBLOCK ? 1 : 0);
    TELL(recv(one, buffer.data(), 8, MSG_DONTWAIT));
    TELL(send(one, "x", 1, MSG_DONTWAIT));
    int const born = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    TELL(recv(born, buffer.data(), 8, 0));
    int const duplicate = dup(born);
    TELL(recv(duplicate, buffer.data(), 8, 0));
    TELL(fcntl(duplicate, F_SETFL, 0));
    set_timeout(born, SO_RCVTIMEO, 20);
    stopwatch const time;
    TELL(recv(born, buffer.data(), 8, 0));
    TELL_FACT(time.at_least(std::chrono::milliseconds(20)));
}

CORNER_CASE(timeouts, .parks = 4) {
    auto const [one, other] = make_tcp_pair();
    set_timeout(one, SO_RCVTIMEO, 20);
    set_timeout(one, SO_SNDTIMEO, 20);
    for (int i = 0; i < 2; ++i) {
        stopwatch const time;
        TELL(recv(one, buffer.data(), 8, 0));
        TELL_FACT(time.at_least(std::chrono::milliseconds(20)));
    }
    TELL(read(one, buffer.data(), 8));
    // Not TCP, which makes room for a little more whenever it gets the chance.
    auto const [full, reader] = make_unix_pair();
    set_timeout(full, SO_SNDTIMEO, 20);
    fill(full);
    stopwatch const time;
    TELL(send(full, "x", 1, 0));
    TELL_FACT(time.at_least(std::chrono::milliseconds(20)));
    TELL(write(full, "x", 1));
    timeval back{};
    socklen_t length = sizeof back;
    TELL(getsockopt(one, SOL_SOCKET, SO_RCVTIMEO, &back, &length));
    say("%ld s", static_cast<long>(back.tv_sec));
    timeval const wrong{.tv_sec = 0, .tv_usec = 1'000'000};
    TELL(setsockopt(one, SOL_SOCKET, SO_RCVTIMEO, &wrong, sizeof wrong));
    TELL(setsockopt(one, SOL_SOCKET, SO_RCVTIMEO, &wrong, 3));
    timeval const negative{.tv_sec = -1, .tv_usec = 0};
    TELL(setsockopt(one, SOL_SOCKET, SO_RCVTIMEO, &negative, sizeof negative));
    TELL(recv(one, buffer.data(), 8, MSG_DONTWAIT));
}

CORNER_CASE(partial_send_at_a_timeout, .parks = 2) {
    std::string const much(std::size_t{32} << 20, 'x');
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair()}) {
        set_timeout(one, SO_SNDTIMEO, 30);
        ssize_t const sent = send(one, much.data(), much.size(), 0);
        TELL_FACT(sent > 0 && sent < static_cast<ssize_t>(much.size()));
    }
}

CORNER_CASE(all_is_sent, .parks = 2) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair()}) {
        std::string const much(std::size_t{16} << 20, 'x');
        int const peer = other;
        other_side const reader([peer, &much] {
            until_case_waits();
            drain(peer, much.size());
        });
        about_to_wait();
        TELL(send(one, much.data(), much.size(), 0));
    }
}

CORNER_CASE(closed_by_the_peer, .parks = 1) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair(), make_unix_pair(SOCK_SEQPACKET)}) {
        put(one, "unread");
        close(other);
        TELL(recv(one, buffer.data(), 8, 0));
        TELL(recv(one, buffer.data(), 8, 0));
        TELL(send(one, "x", 1, MSG_NOSIGNAL));
        TELL(send(one, "x", 1, MSG_NOSIGNAL));
        signal(SIGPIPE, SIG_IGN);
        TELL(write(one, "x", 1));
    }
    auto const [one, other] = make_unix_pair();
    int const peer = other;
    fill(one);
    other_side const closer([peer] {
        until_case_waits();
        close(peer);
    });
    about_to_wait();
    TELL(send(one, "x", 1, MSG_NOSIGNAL));
}

// What is sent counts; the error, and the signal, are the next calls'.
CORNER_CASE(reset_while_the_rest_waits_to_be_sent, .parks = 10) {
    static volatile std::sig_atomic_t signals = 0;
    signal(SIGPIPE, [](int) { signals = signals + 1; });
    static std::string much(std::size_t{32} << 20, 'x');
    static iovec parts[2] = {{much.data(), 1000}, {much.data() + 1000, much.size() - 1000}};
    constexpr auto send_much = [](int fd) { return send(fd, much.data(), much.size(), 0); };
    constexpr auto send_message = [](int fd) {
        msghdr message{};
        message.msg_iov = parts;
        message.msg_iovlen = 2;
        return sendmsg(fd, &message, 0);
    };
    constexpr auto write_much = [](int fd) { return write(fd, much.data(), much.size()); };
    constexpr auto write_parts = [](int fd) { return writev(fd, parts, 2); };
    constexpr auto write_behind_the_back = [](int fd) { return writev(dup_behind_the_back(fd), parts, 2); };
    for (ssize_t (*const begin)(int) :
         {+send_much, +send_message, +write_much, +write_parts, +write_behind_the_back})
        for (bool const sends : {true, false}) {
            auto const [one, other] = make_tcp_pair();
            other_side const resetter([peer = other] {
                until_case_waits();
                reset_connection(peer);
            });
            about_to_wait();
            ssize_t const sent = begin(one);
            TELL_FACT(sent > 0 && sent < static_cast<ssize_t>(much.size()));
            for (int i = 0; i < 2; ++i) {
                if (sends)
                    TELL(send(one, "x", 1, 0));
                else
                    TELL(recv(one, buffer.data(), 8, 0));
                TELL(signals + 0);
            }
        }
}

// What was received counts, even what came right before the reset.
CORNER_CASE(reset_while_the_rest_is_waited_for, .parks = 4) {
    for (bool const more_comes : {false, true})
        for (bool const message : {false, true}) {
            auto const [one, other] = make_tcp_pair();
            put(other, "abc");
            other_side const resetter([peer = other, more_comes] {
                until_case_waits();
                if (more_comes)
                    put(peer, "defg");
                reset_connection(peer);
            });
            about_to_wait();
            iovec parts[2] = {{buffer.data(), 1}, {buffer.data() + 1, 15}};
            msghdr header{};
            header.msg_iov = parts;
            header.msg_iovlen = 2;
            ssize_t size = 0;
            if (message)
                TELL(size = recvmsg(one, &header, MSG_WAITALL));
            else
                TELL(size = recv(one, buffer.data(), 16, MSG_WAITALL));
            tell_buffer(size);
            TELL(recv(one, buffer.data(), 16, MSG_WAITALL));
            TELL(recv(one, buffer.data(), 16, 0));
            TELL(send(one, "x", 1, MSG_NOSIGNAL));
        }
    // A unix socket keeps nothing for the next call.
    auto const [one, other] = make_unix_pair();
    put(other, "abc");
    put(one, "unread");
    other_side const closer([peer = other] {
        until_case_waits();
        close(peer);
    });
    about_to_wait();
    TELL(recv(one, buffer.data(), 16, MSG_WAITALL));
    TELL(recv(one, buffer.data(), 16, 0));
}

CORNER_CASE(broken_pipe_signal) {
    static volatile std::sig_atomic_t count = 0;
    signal(SIGPIPE, [](int) { count = count + 1; });
    auto const [one, other] = make_unix_pair();
    close(other);
    TELL(send(one, "x", 1, 0));
    TELL(count + 0);
    TELL(send(one, "x", 1, MSG_NOSIGNAL));
    TELL(count + 0);
    TELL(write(one, "x", 1));
    TELL(count + 0);
    TELL(writev(one, nullptr, 0));
    TELL(count + 0);
}

CORNER_CASE(shut_down, .parks = 4) {
    for (auto const [one, other] : {make_tcp_pair(), make_unix_pair()}) {
        int const self = one;
        {
            other_side const shutter([self] {
                until_case_waits();
                shutdown(self, SHUT_RD);
            });
            about_to_wait();
            TELL(recv(one, buffer.data(), 8, 0));
        }
        TELL(recv(one, buffer.data(), 8, 0));
        fill(one);
        other_side const shutter([self] {
            until_case_waits();
            shutdown(self, SHUT_WR);
        });
        about_to_wait();
        TELL(send(one, "x", 1, MSG_NOSIGNAL));
        TELL(shutdown(one, SHUT_RDWR));
        TELL(shutdown(one, 77));
    }
    int const unconnected = socket(AF_INET, SOCK_STREAM, 0);
    TELL(shutdown(unconnected, SHUT_RDWR));
    TELL(recv(unconnected, buffer.data(), 8, 0));
    TELL(send(unconnected, "x", 1, MSG_NOSIGNAL));
    TELL(accept(unconnected, nullptr, nullptr));
    TELL(listen(unconnected, 1));
}

CORNER_CASE(addresses) {
    auto const [one, other] = make_udp_pair();
    put(other, "abc");
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    auto* const where = reinterpret_cast<sockaddr*>(&address);
    TELL(recvfrom(one, buffer.data(), 8, 0, where, &length));
    say("length %u, family %d", length, address.ss_family);
    put(other, "abc");
    length = 4;
    TELL(recvfrom(one, buffer.data(), 8, 0, where, &length));
    say("length %u", length);
    put(other, "abc");
    length = 0;
    TELL(recvfrom(one, buffer.data(), 8, 0, where, &length));
    say("length %u", length);
    put(other, "abc");
    length = static_cast<socklen_t>(-1);
    TELL(recvfrom(one, buffer.data(), 8, 0, where, &length));
    TELL(recvfrom(one, buffer.data(), 8, MSG_DONTWAIT, where, nullptr));
    put(other, "abc");
    TELL(recvfrom(one, buffer.data(), 8, MSG_DONTWAIT, where, nullptr));
    TELL(sendto(one, "x", 1, 0, where, 3));
    TELL(sendto(one, "x", 1, 0, where, 4000));
    address.ss_family = 77;
    TELL(sendto(one, "x", 1, 0, where, sizeof address));
    auto const [stream, peer] = make_unix_pair();
    TELL(sendto(stream, "x", 1, 0, where, sizeof(sockaddr_in)));
    TELL(sendto(stream, "x", 1, 0, nullptr, 8));
    TELL(recv(peer, buffer.data(), 8, MSG_DONTWAIT));
    int const loose = socket(AF_INET, SOCK_DGRAM, 0);
    TELL(send(loose, "x", 1, 0));
    TELL(write(loose, "x", 1));
}

CORNER_CASE(strange_flags) {
    auto const [one, other] = make_tcp_pair();
    put(other, "abc");
    TELL(recv(one, buffer.data(), 1, 0x4000'0000));
    TELL(recv(one, buffer.data(), 1, -1));
    TELL(send(one, "x", 1, 0x0080'0000));
    TELL(recv(one, buffer.data(), 8, MSG_ERRQUEUE));
    TELL(recv(one, buffer.data(), 8, MSG_ERRQUEUE | MSG_PEEK));
    auto const [u1, u2] = make_unix_pair();
    put(u2, "abc");
    TELL(recv(u1, buffer.data(), 1, MSG_OOB));
    TELL(send(u1, "x", 1, MSG_DONTROUTE | MSG_NOSIGNAL));
    auto const [d1, d2] = make_udp_pair();
    TELL(send(d1, "x", 1, MSG_OOB));
    TELL(recv(d1, buffer.data(), 8, MSG_ERRQUEUE));
    TELL(send(d1, "x", 1, MSG_MORE));
    TELL(recv(d2, buffer.data(), 8, MSG_DONTWAIT));
    TELL(send(d1, "y", 1, 0));
    TELL(recv(d2, buffer.data(), 8, MSG_DONTWAIT));
}

// Only some kinds of sockets know them, and then don't wait; with others they mean nothing.
CORNER_CASE(flags_that_are_ignored, .parks = 3) {
    auto const [d1, d2] = make_udp_pair();
    auto const [u1, u2] = make_unix_pair();
    auto const [g1, g2] = make_unix_pair(SOCK_DGRAM);
    other_side const sender([d = d2, u = u2, g = g2] {
        for (int const peer : {d, u, g}) {
            until_case_waits();
            put(peer, "abc");
        }
    });
    about_to_wait();
    TELL(recv(d1, buffer.data(), 8, MSG_OOB));
    about_to_wait();
    TELL(recv(u1, buffer.data(), 8, MSG_ERRQUEUE));
    about_to_wait();
    TELL(recv(g1, buffer.data(), 8, MSG_ERRQUEUE));
}

CORNER_CASE(too_long_messages) {
    auto const [one, other] = make_udp_pair();
    std::string const much(70'000, 'x');
    TELL(send(one, much.data(), much.size(), 0));
    TELL(write(one, much.data(), much.size()));
    auto const [packets, peer] = make_unix_pair(SOCK_SEQPACKET);
    std::string const more(std::size_t{8} << 20, 'x');
    TELL(send(packets, more.data(), more.size(), 0));
    TELL(write(packets, more.data(), more.size()));
}

CORNER_CASE(port_unreachable, .parks = 1) {
    auto const [one, other] = make_udp_pair();
    close(other);
    TELL(send(one, "x", 1, 0));
    TELL(recv(one, buffer.data(), 8, 0));
    TELL(send(one, "x", 1, 0));
    TELL(send(one, "x", 1, 0));
    TELL(send(one, "x", 1, 0));
    int error = -1;
    socklen_t length = sizeof error;
    TELL(getsockopt(one, SOL_SOCKET, SO_ERROR, &error, &length));
    say("SO_ERROR %s", error_name(error));
    set_timeout(one, SO_RCVTIMEO, 20);
    TELL(recv(one, buffer.data(), 8, 0));
}

CORNER_CASE(accepting, .parks = 3) {
    int const listener = make_listener();
    other_side const client([listener] {
        until_case_waits();
        connect_to(listener);
    });
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    about_to_wait();
    int accepted = -1;
    TELL((accepted = accept(listener, reinterpret_cast<sockaddr*>(&address), &length)) >= 0);
    say("length %u, family %d", length, address.ss_family);
    TELL(fcntl(accepted, F_GETFL));
    TELL(fcntl(accepted, F_GETFD));
    start_connecting_to(listener);
    TELL((accepted = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
    TELL(fcntl(accepted, F_GETFL) & O_NONBLOCK ? 1 : 0);
    TELL(fcntl(accepted, F_GETFD));
    TELL(recv(accepted, buffer.data(), 8, 0));
    TELL(accept4(listener, nullptr, nullptr, 0x77));
    start_connecting_to(listener);
    TELL(accept4(listener, nullptr, nullptr, 0x77));
    TELL((accepted = accept(listener, nullptr, nullptr)) >= 0);
    set_timeout(listener, SO_RCVTIMEO, 20);
    TELL(accept(listener, nullptr, nullptr));
    start_connecting_to(listener);
    length = static_cast<socklen_t>(-5);
    TELL(accept(listener, reinterpret_cast<sockaddr*>(&address), &length));
    set_timeout(listener, SO_RCVTIMEO, 0);
    set_nonblocking(listener, true);
    while (accept(listener, nullptr, nullptr) >= 0)
        continue;
    TELL(accept(listener, nullptr, nullptr));
    TELL(accept4(listener, nullptr, nullptr, 0));
    set_nonblocking(listener, false);
    other_side const shutter([listener] {
        until_case_waits();
        shutdown(listener, SHUT_RDWR);
    });
    about_to_wait();
    TELL(accept(listener, nullptr, nullptr));
    TELL(accept(listener, nullptr, nullptr));
}

CORNER_CASE(accept_where_it_makes_no_sense) {
    auto const [one, other] = make_tcp_pair();
    TELL(accept(one, nullptr, nullptr));
    auto const [d1, d2] = make_udp_pair();
    TELL(accept(d1, nullptr, nullptr));
    auto const [reader, writer] = make_pipe();
    TELL(accept(reader, nullptr, nullptr));
    TELL(accept4(writer, nullptr, nullptr, 0));
    int const fresh = socket(AF_INET, SOCK_STREAM, 0);
    TELL(accept(fresh, nullptr, nullptr));
    int const local = socket(AF_UNIX, SOCK_STREAM, 0);
    TELL(accept(local, nullptr, nullptr));
}

CORNER_CASE(accept_on_a_unix_listener, .parks = 2) {
    unix_address const where;
    int const listener = socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(bind(listener, where.get(), where.length) == 0 && listen(listener, 1) == 0);
    other_side const client([&where, listener] {
        until_case_waits();
        int const fd = socket(AF_UNIX, SOCK_STREAM, 0);
        REQUIRE(connect(fd, where.get(), where.length) == 0);
        until_case_waits();
        shutdown(listener, SHUT_RD);
    });
    about_to_wait();
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    TELL(accept(listener, reinterpret_cast<sockaddr*>(&address), &length) >= 0);
    say("length %u, family %d", length, address.ss_family);
    about_to_wait();
    TELL(accept(listener, nullptr, nullptr));
}

CORNER_CASE(connecting) {
    int const listener = make_listener();
    sockaddr_in address{};
    socklen_t length = sizeof address;
    auto* const where = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(getsockname(listener, where, &length) == 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    TELL(connect(fd, where, length));
    TELL(connect(fd, where, length));
    TELL(fcntl(fd, F_GETFL) & O_NONBLOCK ? 1 : 0);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    TELL(connect(fd, where, 3));
    TELL(connect(fd, where, 4000));
    TELL(connect(fd, where, 0));
    sockaddr unspecified{};
    TELL(connect(fd, &unspecified, sizeof unspecified));
    TELL(connect(listener, where, length));
    close(listener);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    TELL(connect(fd, where, length));
    TELL(connect(fd, where, length));
    TELL(connect(fd, &unspecified, sizeof unspecified));
    set_nonblocking(fd, true);
    TELL(connect(fd, where, length));
    pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
    TELL(poll(&ready, 1, 5000));
    say("revents %#x", static_cast<unsigned>(ready.revents));
    TELL(connect(fd, where, length));
    int error = -1;
    length = sizeof error;
    TELL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
    say("SO_ERROR %s", error_name(error));
    auto const [d1, d2] = make_udp_pair();
    TELL(connect(d1, &unspecified, sizeof unspecified));
    TELL(send(d1, "x", 1, 0));
    auto const [reader, writer] = make_pipe();
    TELL(connect(reader, &unspecified, sizeof unspecified));
    TELL(connect(writer, nullptr, 0));
}

CORNER_CASE(connecting_to_a_unix_socket, .parks = 2) {
    unix_address const where;
    int const listener = socket(AF_UNIX, SOCK_STREAM, 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    TELL(connect(fd, where.get(), where.length));
    REQUIRE(bind(listener, where.get(), where.length) == 0);
    TELL(connect(fd, where.get(), where.length));
    REQUIRE(listen(listener, 1) == 0);
    TELL(connect(fd, where.get(), where.length));
    TELL(connect(fd, where.get(), where.length));
    REQUIRE(connect(socket(AF_UNIX, SOCK_STREAM, 0), where.get(), where.length) == 0);
    // The queue is full.
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    set_nonblocking(fd, true);
    TELL(connect(fd, where.get(), where.length));
    set_nonblocking(fd, false);
    set_timeout(fd, SO_SNDTIMEO, 30);
    stopwatch const time;
    TELL(connect(fd, where.get(), where.length));
    TELL_FACT(time.at_least(std::chrono::milliseconds(30)));
    set_timeout(fd, SO_SNDTIMEO, 0);
    other_side const acceptor([listener] {
        until_case_waits();
        accept(listener, nullptr, nullptr);
    });
    about_to_wait();
    TELL(connect(fd, where.get(), where.length));
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    TELL(connect(fd, where.get(), where.length));
    TELL(connect(fd, where.get(), 1));
}

CORNER_CASE(connect_runs_out_of_time, .parks = 1) {
    int const listener = make_listener(0);
    sockaddr_in address{};
    socklen_t length = sizeof address;
    auto* const where = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(getsockname(listener, where, &length) == 0);
    // One for the queue, and more for whose handshakes there is no room.
    for (int i = 0; i < 3; ++i)
        start_connecting_to(listener);
    int const fd = socket(AF_INET, SOCK_STREAM, 0);
    set_timeout(fd, SO_SNDTIMEO, 50);
    stopwatch const time;
    TELL(connect(fd, where, length));
    TELL_FACT(time.at_least(std::chrono::milliseconds(50)));
    TELL(connect(fd, where, length));
    TELL(send(fd, "x", 1, MSG_DONTWAIT));
    TELL(fcntl(fd, F_GETFL) & O_NONBLOCK ? 1 : 0);
}

CORNER_CASE(what_sockets_can_be_had) {
    TELL(socket(AF_INET, 77, 0));
    TELL(socket(77, SOCK_STREAM, 0));
    TELL(socket(AF_INET, SOCK_STREAM, 77));
    TELL(socket(AF_INET, SOCK_STREAM | 0x1000, 0));
    std::array<int, 2> ends{7, 7};
    TELL(socketpair(AF_INET, SOCK_STREAM, 0, ends.data()));
    TELL(socketpair(AF_UNIX, 77, 0, ends.data()));
    say("%d %d", ends[0], ends[1]);
    TELL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()));
    TELL(fcntl(ends[0], F_GETFL) & O_NONBLOCK ? 1 : 0);
    TELL(fcntl(ends[1], F_GETFD));
    TELL(recv(ends[0], buffer.data(), 8, 0));
    // Numbers are given out as without weft.
    say("%d", socket(AF_INET, SOCK_STREAM, 0) - ends[1]);
}

CORNER_CASE(receive_low_water, .parks = 1) {
    auto const [one, other] = make_tcp_pair();
    int const peer = other;
    int const three = 3;
    TELL(setsockopt(one, SOL_SOCKET, SO_RCVLOWAT, &three, sizeof three));
    put(other, "ab");
    TELL(recv(one, buffer.data(), 8, MSG_DONTWAIT));
    put(other, "c");
    std::atomic<bool> returned{false};
    other_side const sender([peer, &returned] {
        until_case_waits();
        put(peer, "d");
        until_case_waits_again(returned);
        put(peer, "ef");
    });
    TELL(recv(one, buffer.data(), 1, 0));
    about_to_wait();
    TELL(recv(one, buffer.data(), 8, 0));
}

CORNER_CASE(reset_by_the_peer, .parks = 1) {
    auto const [one, other] = make_tcp_pair();
    int const peer = other;
    other_side const resetter([peer] {
        until_case_waits();
        linger const at_once{.l_onoff = 1, .l_linger = 0};
        setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(peer);
    });
    about_to_wait();
    TELL(recv(one, buffer.data(), 8, 0));
    TELL(recv(one, buffer.data(), 8, 0));
    TELL(send(one, "x", 1, MSG_NOSIGNAL));
}
