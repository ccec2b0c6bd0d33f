#include <cerrno>

#include "ended_wait.hpp"
#include "io.hpp"
#include "io_call.hpp"
#include "parts.hpp"

namespace weft::detail::io {
namespace {

// A call that has sent something reports that; a later call meets the error, and SIGPIPE, itself.
int attempt_flags(int flags, std::size_t sent) noexcept { return flags | (sent > 0 ? MSG_NOSIGNAL : 0); }

ssize_t sent_or_error(std::size_t sent) noexcept { return sent > 0 ? static_cast<ssize_t>(sent) : -1; }

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
    while (call.wait(EPOLLOUT, "send")) {
        ssize_t const n =
            sys::send_now(fd, bytes + sent, size - sent, attempt_flags(flags, sent), address, length);
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
    // `message` is looked at only after the kernel could read it: a bad pointer is EFAULT.
    ssize_t n = sys::send_now(fd, message, attempt_flags(flags, 0));
    if (n < 0 && errno != EAGAIN)
        return call.done(n);
    msghdr rest = *message;
    parts buffers(message->msg_iov, message->msg_iovlen);
    std::size_t sent = 0;
    for (bool tried = true;; tried = false) {
        if (!tried)
            n = sys::send_now(fd, &rest, attempt_flags(flags, sent));
        if (n < 0 && errno != EAGAIN)
            return call.done(sent_or_error(sent));
        if (n >= 0) {
            auto const count = static_cast<std::size_t>(n);
            sent += count;
            call.note_progress();
            if (count >= buffers.left() || !buffers.advance(count))
                return call.done(static_cast<ssize_t>(sent));
            rest.msg_iov = const_cast<iovec*>(buffers.data());
            rest.msg_iovlen = buffers.count();
            rest.msg_control = nullptr; // passed on with the first bytes
            rest.msg_controllen = 0;
        }
        if (!call.wait(EPOLLOUT, "sendmsg"))
            return sent_or_error(sent);
    }
}

} // namespace weft::detail::io
