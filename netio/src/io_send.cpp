#include <cerrno>

#include "ended_wait.hpp"
#include "io.hpp"
#include "io_call.hpp"
#include "parts.hpp"

namespace weft::detail::io {
namespace {

// A call that has sent something reports that; a later call meets the error, and SIGPIPE, itself. The kernel tells an error once, so nothing
// more is tried on a connection that has hung up. (An error that comes between that look and the attempt is lost all the same.)
int attempt_flags(int flags, bool begun) noexcept { return flags | (begun ? MSG_NOSIGNAL : 0); }

ssize_t sent_or_error(std::size_t sent) noexcept { return sent > 0 ? static_cast<ssize_t>(sent) : -1; }

// `begun`: some bytes before the message's are sent already, by the same call of the program's.
ssize_t send_message(io_call& call, int fd, msghdr const* message, int flags, bool begun) noexcept {
    // `message` is looked at only after the kernel could read it: a bad pointer is EFAULT.
    ssize_t n = sys::send_now(fd, message, attempt_flags(flags, begun));
    if (n < 0 && errno != EAGAIN)
        return call.done(n);
    msghdr rest = *message;
    parts buffers(message->msg_iov, message->msg_iovlen);
    std::size_t sent = 0;
    for (bool tried = true;; tried = false) {
        if (!tried)
            n = sys::send_now(fd, &rest, attempt_flags(flags, begun));
        if (n < 0 && errno != EAGAIN)
            return call.done(sent_or_error(sent));
        if (n >= 0) {
            auto const count = static_cast<std::size_t>(n);
            sent += count;
            begun = true;
            call.note_progress();
            if (count >= buffers.left() || !buffers.advance(count))
                return call.done(static_cast<ssize_t>(sent));
            rest.msg_iov = const_cast<iovec*>(buffers.data());
            rest.msg_iovlen = buffers.count();
            rest.msg_control = nullptr; // passed on with the first bytes
            rest.msg_controllen = 0;
        }
        if (!call.wait(EPOLLOUT, "sendmsg") || (begun && sys::hung_up(fd)))
            return sent_or_error(sent);
    }
}

} // namespace

ssize_t send(int fd, void const* data, std::size_t size, int flags, sockaddr const* address, socklen_t length,
             time_point limit) noexcept {
    if (fails_as_cancelled())
        return -1;
    // Mostly it all goes at once, and nothing need be known of the descriptor.
    ssize_t const at_once = sys::send_now(fd, data, size, flags, address, length);
    if (at_once == static_cast<ssize_t>(size)) {
        count_call(*current_fiber);
        return at_once;
    }
    if ((at_once < 0 && errno != EAGAIN) || (flags & MSG_DONTWAIT) != 0)
        return at_once;
    auto const* const bytes = static_cast<char const*>(data);
    std::size_t sent = at_once > 0 ? static_cast<std::size_t>(at_once) : 0;
    io_call call(fd);
    if (!call.possible())
        return sys::send(fd, data, size, flags, address, length);
    call.limit(limit);
    if (sent > 0)
        call.note_progress();
    while (call.wait(EPOLLOUT, "send") && (sent == 0 || !sys::hung_up(fd))) {
        ssize_t const n =
            sys::send_now(fd, bytes + sent, size - sent, attempt_flags(flags, sent > 0), address, length);
        if (n < 0 && errno != EAGAIN)
            break;
        sent += n > 0 ? static_cast<std::size_t>(n) : 0;
        if (sent > 0)
            call.note_progress();
        if (sent == size)
            break;
    }
    return call.done(sent_or_error(sent));
}

ssize_t send(int fd, msghdr const* message, int flags, time_point limit) noexcept {
    if (fails_as_cancelled())
        return -1;
    io_call call(fd);
    if (!call.possible() || (flags & MSG_DONTWAIT) != 0 || call.known_nonblocking())
        return sys::send(fd, message, flags);
    call.limit(limit);
    return send_message(call, fd, message, flags, false);
}

ssize_t send_rest(int fd, msghdr const* rest) noexcept {
    io_call call(fd);
    if (!call.possible() || sys::hung_up(fd))
        return -1;
    call.note_progress();
    return send_message(call, fd, rest, 0, true);
}

} // namespace weft::detail::io
