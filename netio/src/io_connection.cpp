#include <algorithm>
#include <cerrno>
#include <chrono>

#include "ended_wait.hpp"
#include "io.hpp"
#include "io_call.hpp"

namespace weft::detail::io {
namespace {

// accept has no form that doesn't wait, and O_NONBLOCK is the user's: ask poll first. Between the two another worker
// could take the connection, and accept would block the thread: only one worker at a time is between them. (Another
// process with the same listener still may; it costs this worker a wait until the next connection.)
class accept_turn {
public:
    explicit accept_turn(descriptor& entry) noexcept
        : entry_(entry),
          mine_((entry.flags.fetch_or(descriptor::accepting, std::memory_order_acq_rel) &
                 descriptor::accepting) == 0) {}
    accept_turn(accept_turn const&) = delete;
    accept_turn& operator=(accept_turn const&) = delete;
    ~accept_turn() {
        if (mine_)
            set_flag(entry_, descriptor::accepting, false);
    }

    [[nodiscard]] bool mine() const noexcept { return mine_; }

private:
    descriptor& entry_;
    bool mine_;
};

// EAGAIN if it would have to wait. `again`: another worker is at it, and may leave something.
int try_accept(int fd, descriptor& entry, sockaddr* address, socklen_t* length, int flags,
               bool& again) noexcept {
    accept_turn const turn(entry);
    again = !turn.mine();
    if (again || sys::events_now(fd, POLLIN) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return sys::accept_now(fd, address, length, flags);
}

// Whether the kernel would wait at all: it refuses strange flags, and what is no listener, at once.
bool would_wait_to_accept(int fd, int flags) noexcept {
    int listens = 0;
    socklen_t length = sizeof listens;
    return (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == 0 &&
           sys::get_option(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0;
}

// The kinds that an accepted socket shares with its listener.
std::uint32_t accepted_flags(std::uint32_t listener, int flags) noexcept {
    std::uint32_t const kind =
        listener & (descriptor::socket | descriptor::stream | descriptor::tcp | descriptor::timed);
    return kind | ((flags & SOCK_NONBLOCK) != 0 ? descriptor::nonblocking : 0U);
}

// Starts to connect without waiting. A blocking socket is made non-blocking for just this call: no other form exists.
int start_connect(int fd, sockaddr const* address, socklen_t length) noexcept {
    int const status = sys::control(fd, F_GETFL, 0);
    if (status < 0)
        return -1;
    if ((status & O_NONBLOCK) != 0)
        return sys::connect_now(fd, address, length);
    sys::control(fd, F_SETFL, status | O_NONBLOCK);
    int const result = sys::connect_now(fd, address, length);
    int const error = errno;
    sys::control(fd, F_SETFL, status);
    errno = error;
    return result;
}

// A unix listener whose backlog is full has nothing to wait for but time.
int connect_when_room(io_call const& call, int fd, sockaddr const* address, socklen_t length) noexcept {
    using namespace std::chrono_literals;
    auto const [limit, interruptible] = call.limits(EPOLLOUT);
    auto pause = std::chrono::microseconds(500);
    constexpr auto longest_pause = std::chrono::microseconds(16ms);
    for (;;) {
        if (clock::now() >= limit) {
            errno = EAGAIN;
            return -1;
        }
        int const error =
            ended_by(sleep_until({"connect", fd}, std::min(deadline_after(pause), limit), interruptible));
        if (error != 0) {
            errno = error;
            return -1;
        }
        pause = std::min(pause * 2, longest_pause);
        int const result = start_connect(fd, address, length);
        if (result == 0 || errno != EAGAIN)
            return result;
    }
}

} // namespace

int accept(int fd, sockaddr* address, socklen_t* length, int flags) noexcept {
    if (fails_as_cancelled())
        return -1;
    io_call call(fd);
    if (!call.possible())
        return sys::accept(fd, address, length, flags);
    int accepted = -1;
    if (call.known_nonblocking()) {
        accepted = sys::accept(fd, address, length, flags);
    } else {
        for (bool waited = false;;) {
            bool again = false;
            accepted = try_accept(fd, call.entry(), address, length, flags, again);
            if (accepted >= 0 || errno != EAGAIN)
                break;
            if (waited && (sys::events_now(fd, 0) & POLLHUP) != 0) {
                // Shut down; a unix listener in non-blocking mode goes on saying EAGAIN.
                errno = EINVAL;
                return -1;
            }
            if (!waited && !again && !would_wait_to_accept(fd, flags))
                return call.done(sys::accept(fd, address, length, flags));
            if (again)
                yield();
            else if (!call.wait(EPOLLIN, "accept"))
                return -1;
            waited = true;
        }
    }
    if (accepted >= 0) {
        call.learn_socket();
        descriptor_opened(accepted, accepted_flags(call.flags(), flags));
    }
    return call.done(accepted);
}

int connect(int fd, sockaddr const* address, socklen_t length, time_point limit) noexcept {
    if (fails_as_cancelled())
        return -1;
    io_call call(fd);
    if (!call.possible() || (!call.is(descriptor::own_nonblocking) && call.nonblocking()))
        return sys::connect(fd, address, length);
    call.limit(limit);
    int const started = start_connect(fd, address, length);
    if (started == 0)
        return call.done(started);
    if (errno == EAGAIN && address->sa_family == AF_UNIX && !call.nonblocking())
        return connect_when_room(call, fd, address, length);
    // EALREADY: an earlier call was interrupted, and what it has begun goes on. On a blocking socket the next one waits for that.
    int const pending = errno;
    if (pending != EINPROGRESS && pending != EALREADY)
        return call.done(started);
    do {
        if (sys::events_now(fd, POLLOUT) == 0)
            continue;
        // Asked again, TCP tells how it went, without waiting; and only then is the socket connected to the next call, too.
        call.learn_socket();
        if (call.is(descriptor::tcp))
            return call.done(sys::connect(fd, address, length));
        socklen_t size = sizeof errno;
        sys::get_option(fd, SOL_SOCKET, SO_ERROR, &errno, &size);
        return call.done(errno == 0 ? 0 : -1);
    } while (call.wait(EPOLLOUT, "connect"));
    // As the kernel says, both of a non-blocking socket and of one whose time limit is over.
    if (errno == EAGAIN)
        errno = pending;
    return -1;
}

int open_own_socket(int domain, int type) noexcept {
    int const fd = ::socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        descriptor_opened(fd, socket_flags(domain, type, 0) | descriptor::own_nonblocking);
    return fd;
}

int close(int fd) noexcept {
    descriptor_closing(fd);
    return sys::close(fd);
}

void opened_pipe(int fd, int flags) noexcept {
    descriptor_opened(fd, descriptor::pipe | ((flags & O_NONBLOCK) != 0 ? descriptor::nonblocking : 0U) |
                              ((flags & O_DIRECT) != 0 ? descriptor::packets : 0U));
}

void opened_socket(int fd, int domain, int type, int protocol) noexcept {
    std::uint32_t flags = socket_flags(domain, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol);
    if ((type & SOCK_NONBLOCK) != 0)
        flags |= descriptor::nonblocking;
    descriptor_opened(fd, flags);
}

} // namespace weft::detail::io
