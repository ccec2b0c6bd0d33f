#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <optional>
#include <utility>

#include "disk.hpp"
#include "ended_wait.hpp"
#include "io.hpp"
#include "io_call.hpp"
#include "parts.hpp"
#include "user_memory.hpp"

// read and write, which take descriptors of every kind:
//   1. A socket that we opened: recv and send.
//   2. Anything else: RWF_NOWAIT, which says EAGAIN instead of waiting.
//   3. Where RWF_NOWAIT is refused (terminals, FIFOs, some file systems): ask poll first, then do what it allows.
// A regular file never waits for an event; what it waits for is the disk. So RWF_NOWAIT takes what is in memory, and for the rest
// there is wait_for_disk().
namespace weft::detail::io {
namespace {

bool is_regular(int fd) noexcept {
    struct stat status {};
    int const error = errno;
    bool const known = ::fstat(fd, &status) == 0;
    errno = error;
    return known && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode));
}

// One attempt that doesn't wait: by `now`, which has RWF_NOWAIT, or where that is refused by `plain`, once poll shows
// `ready`. EAGAIN if it would have to wait, EPERM if only a call that waits for the disk will do.
template <class Now, class Plain>
ssize_t attempt(io_call& call, int fd, short ready, Now now, Plain plain) noexcept {
    if (!call.is(descriptor::no_nowait)) {
        ssize_t const n = now();
        if (n >= 0 || (errno != EOPNOTSUPP && errno != EAGAIN))
            return n;
        if (!call.is(descriptor::tracked | descriptor::socket) &&
            is_regular(fd)) { // not in the page cache, or the file system has no such mode
            errno = EPERM;
            return -1;
        }
        if (errno == EAGAIN)
            return -1;
        call.note_kind(descriptor::no_nowait);
    }
    if (sys::events_now(fd, ready) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return plain();
}

ssize_t try_read(io_call& call, int fd, iovec const* parts, int count) noexcept {
    return attempt(
        call, fd, POLLIN, [=] { return sys::read_now(fd, parts, count); },
        [=] { return sys::read(fd, parts, count); });
}

ssize_t try_write(io_call& call, int fd, iovec const* parts, int count) noexcept {
    return attempt(
        call, fd, POLLOUT, [=] { return sys::write_now(fd, parts, count); },
        [=] {
            if (is_regular(fd))
                return wait_for_disk("write", [=] { return sys::write(fd, parts, count); });
            // Writable means room for PIPE_BUF bytes: more could block.
            iovec piece = *parts;
            piece.iov_len = std::min<std::size_t>(piece.iov_len, PIPE_BUF);
            return sys::write(fd, &piece, 1);
        });
}

bool in_range(int count) noexcept { return count > 0 && count <= IOV_MAX; }

// How long a read of a terminal waits for a first character, if it is told to wait for none (VMIN): termios(3).
std::optional<clock::duration> patience_of_terminal(int fd) noexcept {
    termios settings{};
    int const error = errno;
    bool const impatient =
        ::ioctl(fd, TCGETS, &settings) == 0 && (settings.c_lflag & ICANON) == 0 && settings.c_cc[VMIN] == 0;
    errno = error;
    if (!impatient)
        return std::nullopt;
    return std::chrono::milliseconds(100) * settings.c_cc[VTIME];
}

// A file's bytes come all that there are; what RWF_NOWAIT has left out is on the disk. `got` > 0, so the parts are there.
template <class Read>
ssize_t read_the_rest(io_call const& call, int fd, iovec const* given, int count, ssize_t got,
                      char const* operation, Read read) noexcept {
    if (got <= 0) // perhaps because the parts are not there
        return got;
    parts rest(given, static_cast<std::size_t>(count));
    if (static_cast<std::size_t>(got) == rest.left() || call.is(descriptor::tracked | descriptor::pipe) ||
        !is_regular(fd) || !rest.advance(static_cast<std::size_t>(got)))
        return got;
    ssize_t const more =
        wait_for_disk(operation, [&] { return read(rest.data(), static_cast<int>(rest.count()), got); });
    return more > 0 ? got + more : got;
}

} // namespace

ssize_t read(int fd, iovec const* parts, int count) noexcept {
    if (fails_as_cancelled())
        return -1;
    io_call call(fd);
    if (!call.possible() || call.known_nonblocking() || !in_range(count))
        return sys::read(fd, parts, count);
    if (call.is(descriptor::tracked | descriptor::socket)) {
        // Not by recvmsg at first: of no bytes at all readv takes nothing, not even a datagram, and doesn't wait.
        ssize_t const at_once = sys::read_now(fd, parts, count);
        if (at_once > 0)
            call.note_read(static_cast<std::size_t>(at_once),
                           total_size(parts, static_cast<std::size_t>(count)));
        if (at_once >= 0 || (errno != EAGAIN && errno != EOPNOTSUPP))
            return call.done(at_once);
        msghdr message{};
        message.msg_iov = const_cast<iovec*>(parts);
        message.msg_iovlen = static_cast<std::size_t>(count);
        ssize_t const n = io::receive(fd, &message, 0);
        if (n >= 0 || errno != ENOTSOCK)
            return n;
        call.forget_kind();
    }
    bool first_look = true;
    std::optional<clock::duration> patience;
    do {
        ssize_t const n = try_read(call, fd, parts, count);
        if (n >= 0)
            return call.done(read_the_rest(
                call, fd, parts, count, n, "read",
                [fd](iovec const* rest, int left, ssize_t /*got*/) { return sys::read(fd, rest, left); }));
        if (errno == EPERM)
            break;
        if (errno != EAGAIN)
            return call.done(n);
        if (std::exchange(first_look, false) && call.is(descriptor::no_nowait) && !call.nonblocking() &&
            (patience = patience_of_terminal(fd)))
            call.limit(deadline_after(*patience));
    } while (call.wait(EPOLLIN, "read"));
    if (patience && errno == EAGAIN)
        return call.done(ssize_t{0});
    if (errno != EPERM)
        return -1;
    return call.done(wait_for_disk("read", [=] { return sys::read(fd, parts, count); }));
}

ssize_t read(int fd, void* buffer, std::size_t size) noexcept {
    if (size == 0 || beyond_memory(buffer, size)) // recv would wait for data, or take the size for less
        return sys::read(fd, buffer, size);
    if (descriptor const* const entry = known_descriptor(fd)) {
        constexpr std::uint32_t ours = descriptor::tracked | descriptor::socket;
        if ((entry->flags.load(std::memory_order_acquire) & ours) == ours) {
            ssize_t const n = io::receive(fd, buffer, size, 0);
            if (n >= 0 || errno != ENOTSOCK)
                return n;
        }
    }
    iovec const whole{.iov_base = buffer, .iov_len = size};
    return io::read(fd, &whole, 1);
}

ssize_t write(int fd, iovec const* given, int count) noexcept {
    if (fails_as_cancelled())
        return -1;
    io_call call(fd);
    if (!call.possible() || call.known_nonblocking() || !in_range(count))
        return sys::write(fd, given, count);
    if (call.is(descriptor::tracked | descriptor::socket)) {
        // Not by sendmsg at first: of no bytes at all writev sends nothing, not even a datagram.
        ssize_t const at_once = sys::write_now(fd, given, count);
        std::size_t const sent = at_once > 0 ? static_cast<std::size_t>(at_once) : 0;
        if (sent == 0 && (at_once == 0 || (errno != EAGAIN && errno != EOPNOTSUPP)))
            return call.done(at_once);
        if (sent > 0 && sent == total_size(given, static_cast<std::size_t>(count)))
            return call.done(at_once);
        parts rest(given, static_cast<std::size_t>(count));
        if (sent > 0 && !rest.advance(sent))
            return call.done(at_once);
        msghdr message{};
        message.msg_iov = const_cast<iovec*>(rest.data());
        message.msg_iovlen = rest.count();
        if (sent > 0)
            return at_once + std::max(io::send_rest(fd, &message), ssize_t{0});
        ssize_t const n = io::send(fd, &message, 0);
        if (n >= 0 || errno != ENOTSOCK)
            return n;
        call.forget_kind();
    }
    // The parts are looked at only after the kernel could read them, or we: a bad pointer is EFAULT.
    if (call.is(descriptor::no_nowait) && !readable(given, static_cast<std::size_t>(count) * sizeof *given))
        return -1;
    ssize_t n = try_write(call, fd, given, count);
    if (n < 0 && errno != EAGAIN && errno != EPERM)
        return call.done(n);
    parts rest(given, static_cast<std::size_t>(count));
    std::size_t written = 0;
    for (;;) {
        if (n >= 0) {
            auto const done = static_cast<std::size_t>(n);
            written += done;
            call.note_progress();
            if (done == rest.left() || !rest.advance(done))
                return call.done(static_cast<ssize_t>(written));
        }
        if (n < 0 && errno != EAGAIN)
            break;
        // Where only a piece was tried, there may be room for more.
        if (n >= 0 && call.is(descriptor::no_nowait))
            count_call(*current_fiber);
        else if (!call.wait(EPOLLOUT, "write"))
            break;
        else if (written > 0 && sys::hung_up(fd)) // the error is the next call's
            return call.done(static_cast<ssize_t>(written));
        n = try_write(call, fd, rest.data(), static_cast<int>(rest.count()));
    }
    if (errno == EPERM) {
        n = wait_for_disk("write",
                          [&] { return sys::write(fd, rest.data(), static_cast<int>(rest.count())); });
        if (n > 0 || written == 0)
            return call.done(n + static_cast<ssize_t>(written));
    }
    return call.done(written > 0 ? static_cast<ssize_t>(written) : -1);
}

ssize_t write(int fd, void const* data, std::size_t size) noexcept {
    if (beyond_memory(data, size))
        return sys::write(fd, data, size);
    if (descriptor const* const entry = known_descriptor(fd)) {
        constexpr std::uint32_t ours = descriptor::tracked | descriptor::socket;
        if ((entry->flags.load(std::memory_order_acquire) & ours) == ours) {
            ssize_t const n = io::send(fd, data, size, 0);
            if (n >= 0 || errno != ENOTSOCK)
                return n;
        }
    }
    if (size == 0) // an empty datagram; of several parts that are empty there would be none
        return sys::write(fd, data, size);
    iovec const whole{.iov_base = const_cast<void*>(data), .iov_len = size};
    return io::write(fd, &whole, 1);
}

// Only files have positions, but for offset -1.
ssize_t read_at(int fd, iovec const* parts, int count, off_t offset, int flags) noexcept {
    if (offset == -1 && flags == 0)
        return io::read(fd, parts, count);
    if (!files_are_offloaded || (flags & RWF_NOWAIT) != 0)
        return sys::read_at(fd, parts, count, offset, flags);
    ssize_t const n = sys::read_at(fd, parts, count, offset, flags | RWF_NOWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EOPNOTSUPP))
        return wait_for_disk("pread", [=] { return sys::read_at(fd, parts, count, offset, flags); });
    return read_the_rest(io_call(fd), fd, parts, count, n, "pread",
                         [=](iovec const* rest, int left, ssize_t got) {
                             return sys::read_at(fd, rest, left, offset + got, flags);
                         });
}

ssize_t write_at(int fd, iovec const* parts, int count, off_t offset, int flags) noexcept {
    if (offset == -1 && flags == 0)
        return io::write(fd, parts, count);
    if ((flags & RWF_NOWAIT) != 0)
        return sys::write_at(fd, parts, count, offset, flags);
    return wait_for_disk("pwrite", [=] { return sys::write_at(fd, parts, count, offset, flags); });
}

} // namespace weft::detail::io
