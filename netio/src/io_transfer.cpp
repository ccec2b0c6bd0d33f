#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "ended_wait.hpp"
#include "io.hpp"
#include "io_call.hpp"
#include "user_memory.hpp"

// Bytes that go from one descriptor to another.
//
// sendfile has no form that doesn't wait for a socket which is blocking to its owner. So such a socket gets what was read from
// the file, as it gets any other bytes; one copy more. Only on weft's own sockets is it the kernel's.
//
// splice and its relatives wait for pipes unless told not to (SPLICE_F_NONBLOCK); for a socket, poll is asked first, and then no
// more is passed than a socket that shows POLLOUT takes.
namespace weft::detail::io {
namespace {

constexpr std::size_t most_at_once = 0x7fff'f000; // the kernel's own limit
constexpr std::size_t copied_at_once = std::size_t{64} * 1024;

bool is_kind(int fd, mode_t kind) noexcept {
    struct stat status {};
    return ::fstat(fd, &status) == 0 && (status.st_mode & S_IFMT) == kind;
}

// The kernel's own, which waits for nothing on the socket; then for room, until all is sent.
ssize_t send_file_directly(io_call& call, int to, int from, off_t* offset, std::size_t size) noexcept {
    std::size_t sent = 0;
    do {
        for (;;) {
            ssize_t const n = sys::send_file_now(to, from, offset, size - sent);
            if (n < 0 && errno == EAGAIN)
                break;
            sent += n > 0 ? static_cast<std::size_t>(n) : 0;
            if (n <= 0 || sent == size)
                return call.done(sent > 0 ? static_cast<ssize_t>(sent) : n);
        }
    } while (call.wait(EPOLLOUT, "sendfile"));
    return sent > 0 ? static_cast<ssize_t>(sent) : -1;
}

// As many bytes from `position` as `to` takes, -1 with errno if that is none.
ssize_t copy_file(int to, int from, off_t position, std::size_t size) noexcept {
    std::unique_ptr<char[]> const buffer(new (std::nothrow) char[std::min(size, copied_at_once)]);
    if (buffer == nullptr) {
        errno = ENOMEM;
        return -1;
    }
    std::size_t sent = 0;
    while (sent < size) {
        iovec const whole{.iov_base = buffer.get(), .iov_len = std::min(size - sent, copied_at_once)};
        ssize_t const got = io::read_at(from, &whole, 1, position + static_cast<off_t>(sent), 0);
        ssize_t const written = got > 0 ? io::write(to, buffer.get(), static_cast<std::size_t>(got)) : got;
        if (written < 0 && sent == 0)
            return -1;
        sent += written > 0 ? static_cast<std::size_t>(written) : 0;
        if (written <= 0 || written < got)
            break;
    }
    return static_cast<ssize_t>(sent);
}

// How much a socket that is ready to be written takes without waiting: a part of its buffer, as poll doesn't say POLLOUT for less.
std::size_t room_when_ready(int socket) noexcept {
    constexpr std::size_t always = 4096;
    int buffer = 0;
    socklen_t length = sizeof buffer;
    if (sys::get_option(socket, SOL_SOCKET, SO_SNDBUF, &buffer, &length) != 0 || buffer <= 0)
        return always;
    return std::max(static_cast<std::size_t>(buffer) / 8, always);
}

bool open_for(int fd, std::uint32_t events) noexcept {
    int const status = sys::control(fd, F_GETFL, 0);
    return status >= 0 && (status & O_ACCMODE) != (events == EPOLLOUT ? O_RDONLY : O_WRONLY);
}

// Waits until `events` show on `fd`; at once for what is always ready, or never, as the kernel then says.
bool wait_for(int fd, std::uint32_t events, char const* operation) noexcept {
    auto const wanted = static_cast<short>(events);
    while (sys::events_now(fd, wanted) == 0) {
        if (!open_for(fd, events))
            return true;
        io_call call(fd);
        errno = ENOMEM;
        if (!call.possible() || !call.wait(events, operation))
            return errno == EPERM;
    }
    return true;
}

// One end of a splice, and what its call must wait for there. A pipe for which the caller wants no wait is left to the kernel,
// which then says EAGAIN.
struct end {
    int fd;
    std::uint32_t events;
    bool waits;
};

// `attempt`, once both ends are ready. Between pipes it never waits, and is made `at_once`: what the kernel refuses, it refuses without
// anything to be ready.
template <class Attempt>
ssize_t transfer(end const& from, end const& to, bool at_once, char const* operation,
                 Attempt attempt) noexcept {
    if (fails_as_cancelled())
        return -1;
    for (;; at_once = false) {
        if (!at_once && ((from.waits && !wait_for(from.fd, from.events, operation)) ||
                         (to.waits && !wait_for(to.fd, to.events, operation))))
            return -1;
        ssize_t const n = attempt();
        if (n >= 0 || errno != EAGAIN || !(from.waits || to.waits)) {
            count_call(*current_fiber);
            return n;
        }
        if (at_once)
            continue;
        if ((from.waits && sys::events_now(from.fd, static_cast<short>(from.events)) == 0) ||
            (to.waits && sys::events_now(to.fd, static_cast<short>(to.events)) == 0))
            continue; // somebody else was faster
        if (!from.waits || !to.waits)
            return -1;
        // Ready by the look of it, and yet not: another fiber may be at it.
        yield();
    }
}

} // namespace

ssize_t send_file(int to, int from, off_t* offset, std::size_t size) noexcept {
    if (fails_as_cancelled())
        return -1;
    // Into a full pipe, even no bytes wait.
    if (is_kind(to, S_IFIFO) && !io_call(to).nonblocking() && !wait_for(to, EPOLLOUT, "sendfile"))
        return -1;
    if (size > SSIZE_MAX)
        return sys::send_file(to, from, offset, size);
    // Arguments that the kernel refuses, it refuses of no bytes, too.
    if (size == 0 || sys::send_file(to, from, offset, 0) < 0)
        return sys::send_file(to, from, offset, size);
    size = std::min(size, most_at_once);
    io_call call(to);
    bool const from_file = is_kind(from, S_IFREG) || is_kind(from, S_IFBLK);
    if (call.possible() && from_file && call.is(descriptor::own_nonblocking))
        return send_file_directly(call, to, from, offset, size);
    if (!call.possible() || !from_file || call.nonblocking())
        return sys::send_file(to, from, offset, size);
    off_t position = 0;
    if (offset != nullptr ? !copy_in(position, offset) : (position = ::lseek(from, 0, SEEK_CUR)) < 0)
        return -1;
    if (position > std::numeric_limits<off_t>::max() - static_cast<off_t>(size))
        return sys::send_file(to, from, offset, size);
    ssize_t const sent = copy_file(to, from, position, size);
    if (sent > 0 && offset == nullptr)
        ::lseek(from, position + sent, SEEK_SET);
    else if (sent > 0 && !copy_out(offset, position + sent))
        return -1;
    return sent;
}

ssize_t splice(int from, off_t* from_offset, int to, off_t* to_offset, std::size_t size,
               unsigned flags) noexcept {
    if (size == 0)
        return sys::splice(from, from_offset, to, to_offset, size, flags);
    bool const no_wait = (flags & SPLICE_F_NONBLOCK) != 0;
    bool const from_pipe = is_kind(from, S_IFIFO);
    bool const to_pipe = is_kind(to, S_IFIFO);
    if (!from_pipe && !to_pipe)
        return sys::splice(from, from_offset, to, to_offset, size, flags); // EINVAL, or EBADF
    if (is_kind(to, S_IFSOCK) && !io_call(to).nonblocking())
        size = std::min(size, room_when_ready(to));
    end const source{from, EPOLLIN, !(no_wait && from_pipe)};
    end const target{to, EPOLLOUT, !(no_wait && to_pipe)};
    return transfer(source, target, from_pipe && to_pipe, "splice", [=] {
        return sys::splice(from, from_offset, to, to_offset, size, flags | SPLICE_F_NONBLOCK);
    });
}

ssize_t tee(int from, int to, std::size_t size, unsigned flags) noexcept {
    bool const waits = (flags & SPLICE_F_NONBLOCK) == 0 && size != 0;
    if (!waits || !is_kind(from, S_IFIFO) || !is_kind(to, S_IFIFO))
        return sys::tee(from, to, size, flags);
    return transfer({from, EPOLLIN, true}, {to, EPOLLOUT, true}, true, "tee",
                    [=] { return sys::tee(from, to, size, flags | SPLICE_F_NONBLOCK); });
}

ssize_t splice_memory(int fd, iovec const* parts, std::size_t count, unsigned flags) noexcept {
    if ((flags & SPLICE_F_NONBLOCK) != 0 || count == 0 || !is_kind(fd, S_IFIFO))
        return sys::splice_memory(fd, parts, count, flags);
    end const pipe{fd, open_for(fd, EPOLLOUT) ? EPOLLOUT : EPOLLIN, true};
    return transfer(pipe, pipe, true, "vmsplice",
                    [=] { return sys::splice_memory(fd, parts, count, flags | SPLICE_F_NONBLOCK); });
}

} // namespace weft::detail::io
