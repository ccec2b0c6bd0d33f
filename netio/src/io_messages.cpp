#include <algorithm>
#include <cerrno>
#include <chrono>

#include "ended_wait.hpp"
#include "io.hpp"
#include "io_call.hpp"
#include "io_receive.hpp"
#include "passed_descriptors.hpp"
#include "user_memory.hpp"

// Several messages in one call. An attempt is the kernel's own call, made so that it doesn't wait, for all that are left.
namespace weft::detail::io {
namespace {

constexpr unsigned most_sent = 1024; // the kernel's own limit, UIO_MAXIOV

// The kernel looks at the clock after each message, and never between: recvmmsg(2), BUGS.
class message_clock {
public:
    // False with EFAULT or EINVAL.
    bool start(timespec* timeout) noexcept {
        constexpr long second = 1'000'000'000;
        timeout_ = timeout;
        timespec given{};
        if (timeout == nullptr)
            return true;
        if (!copy_in(given, timeout))
            return false;
        errno = EINVAL;
        if (given.tv_sec < 0 || given.tv_nsec < 0 || given.tv_nsec >= second)
            return false;
        using long_seconds = std::chrono::duration<long double>;
        end_ = deadline_after(long_seconds(given.tv_sec) + std::chrono::nanoseconds(given.tv_nsec));
        return true;
    }

    [[nodiscard]] bool runs() const noexcept { return timeout_ != nullptr; }
    [[nodiscard]] bool over() const noexcept { return runs() && clock::now() >= end_; }

    // The result of the call, what is left of the time having been told.
    [[nodiscard]] int finish(unsigned received) const noexcept {
        if (runs()) {
            auto const left = std::max(end_ - clock::now(), clock::duration::zero());
            auto const seconds = std::chrono::floor<std::chrono::seconds>(left);
            if (!copy_out(timeout_, {.tv_sec = seconds.count(),
                                     .tv_nsec = std::chrono::nanoseconds(left - seconds).count()}))
                return -1;
        }
        return static_cast<int>(received);
    }

private:
    timespec* timeout_ = nullptr;
    time_point end_ = never; // valid while it runs
};

bool has_error(int fd) noexcept { return (sys::events_now(fd, 0) & POLLERR) != 0; }

// All of one message over a stream, and its length noted. The header is its first member.
bool send_one(int fd, mmsghdr* message, int flags) noexcept {
    ssize_t const n = io::send(fd, reinterpret_cast<msghdr const*>(message), flags);
    return n >= 0 && copy_out(&message->msg_len, static_cast<unsigned>(n));
}

int send_over_stream(int fd, mmsghdr* messages, unsigned count, int flags) noexcept {
    unsigned sent = 0;
    while (sent < count && send_one(fd, messages + sent, flags))
        ++sent;
    return sent > 0 || count == 0 ? static_cast<int>(sent) : -1;
}

} // namespace

int receive(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) noexcept {
    if (fails_as_cancelled())
        return -1;
    if (io_call const call(fd); !call.possible() || never_waits(flags) || call.known_nonblocking())
        return sys::receive(fd, messages, count, flags, timeout);
    message_clock time;
    if (!time.start(timeout))
        return -1;
    unsigned got = 0;
    for (bool none = false; !none;) {
        unsigned const wanted = time.runs() ? std::min(count, 1U) : count - got;
        int const n = sys::receive_now(fd, messages + got, wanted, flags);
        for (int i = 0; i < n; ++i)
            note_received_descriptors(messages[got + static_cast<unsigned>(i)].msg_hdr);
        got += n > 0 ? static_cast<unsigned>(n) : 0;
        if (n == 0 || (n > 0 && (got == count || (flags & MSG_WAITFORONE) != 0 || time.over())))
            break;
        if (n > 0 && time.runs())
            continue;
        none = n < 0 && errno != EAGAIN;
        io_call next(fd);
        if (got > 0)
            next.note_progress();
        // Each message may take as long as SO_RCVTIMEO says. An error that comes after the first is the next call's.
        if (!none)
            none =
                (got > 0 && has_error(fd)) || !next.wait(EPOLLIN, "recvmmsg") || (got > 0 && has_error(fd));
        if (none && got == 0)
            return -1;
    }
    count_call(*current_fiber);
    return time.finish(got);
}

int send(int fd, mmsghdr* messages, unsigned count, int flags) noexcept {
    if (fails_as_cancelled())
        return -1;
    io_call first(fd);
    if (!first.possible() || (flags & MSG_DONTWAIT) != 0 || first.known_nonblocking())
        return sys::send(fd, messages, count, flags);
    count = std::min(count, most_sent);
    first.learn_socket();
    if (first.is(descriptor::stream))
        return send_over_stream(fd, messages, count, flags);
    unsigned sent = 0;
    for (;;) {
        int const n = sys::send_now(fd, messages + sent, count - sent, flags);
        sent += n > 0 ? static_cast<unsigned>(n) : 0;
        if (n == 0 || (n > 0 && sent == count))
            break;
        io_call next(fd);
        if (sent > 0)
            next.note_progress();
        if (n < 0 && (errno != EAGAIN || !next.wait(EPOLLOUT, "sendmmsg"))) {
            if (sent == 0)
                return -1;
            break;
        }
    }
    count_call(*current_fiber);
    return static_cast<int>(sent);
}

} // namespace weft::detail::io
