#include "io_receive.hpp"

#include <cerrno>
#include <optional>
#include <span>

#include "ended_wait.hpp"
#include "io.hpp"
#include "io_call.hpp"
#include "parts.hpp"
#include "passed_descriptors.hpp"
#include "user_memory.hpp"

namespace weft::detail::io {
namespace {

// Whether nothing more will come after what is there.
bool at_end(int fd) noexcept {
    return (sys::events_now(fd, POLLRDHUP) & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

// Only streams wait for all, and to peek at all, only TCP: others look no further than what is there.
bool waits_for_all(io_call& call, int flags) noexcept {
    if ((flags & MSG_WAITALL) == 0)
        return false;
    call.learn_socket();
    return call.is((flags & MSG_PEEK) != 0 ? descriptor::tcp : descriptor::stream);
}

// What a call that is to wait for all does when it has got something.
enum class next_step { attempt, wait, end };

// An error that comes now is the next call's, but TCP tells it once, and to any attempt that finds no bytes. So there is none unless there
// are bytes, or nothing else tells what there is. (A unix socket's error is lost here with weft and without.)
next_step after_progress(io_call const& call, int fd) noexcept {
    if (!call.is(descriptor::tcp) || sys::unread_bytes(fd) > 0)
        return next_step::attempt;
    short const shown = sys::look(fd, POLLIN | POLLRDHUP);
    if (shown == 0)
        return next_step::wait;
    // What came before the end is there by now.
    bool const ended = ((shown & POLLRDHUP) != 0 || sys::hung_up(fd)) && sys::unread_bytes(fd) == 0;
    return ended ? next_step::end : next_step::attempt;
}

// MSG_WAITALL on a stream: until the buffer is full, the end of the stream or an error. Peeked bytes stay where they
// are: then it is looked again, from the start, when there are more.
ssize_t receive_all(io_call& call, int fd, std::span<char> buffer, int flags) noexcept {
    bool const peek = (flags & MSG_PEEK) != 0;
    std::size_t got = 0;
    do {
        // Even after a short read: the end of the stream may be there already, and raise no further edge.
        for (;;) {
            next_step const step = got > 0 ? after_progress(call, fd) : next_step::attempt;
            if (step == next_step::end)
                return call.done(static_cast<ssize_t>(got));
            if (step == next_step::wait)
                break;
            ssize_t const n =
                sys::receive_now(fd, buffer.data() + got, buffer.size() - got, flags, nullptr, nullptr);
            if (n < 0 && errno == EAGAIN)
                break;
            if (n <= 0)
                return call.done(got > 0 ? static_cast<ssize_t>(got) : n);
            auto const count = static_cast<std::size_t>(n);
            if (peek && count < buffer.size() && !at_end(fd))
                break;
            got += count;
            call.note_progress();
            if (peek || got == buffer.size())
                return call.done(static_cast<ssize_t>(got));
        }
    } while (call.wait(EPOLLIN, "recv"));
    return got > 0 ? static_cast<ssize_t>(got) : -1;
}

// The same into several buffers. What comes beside the bytes ends it, as the kernel doesn't go on after that, either.
ssize_t receive_all(io_call& call, int fd, msghdr* message, int flags) noexcept {
    msghdr given{};
    if (!copy_in(given, message))
        return -1;
    bool const peek = (flags & MSG_PEEK) != 0;
    std::optional<parts> buffers;
    msghdr rest = given;
    std::size_t got = 0;
    do {
        for (;;) {
            next_step const step = got > 0 ? after_progress(call, fd) : next_step::attempt;
            if (step == next_step::end)
                return call.done(static_cast<ssize_t>(got));
            if (step == next_step::wait)
                break;
            msghdr* const now = got == 0 ? message : &rest;
            ssize_t const n = sys::receive_now(fd, now, flags);
            if (n < 0 && errno == EAGAIN)
                break;
            if (n < 0)
                return call.done(got > 0 ? static_cast<ssize_t>(got) : n);
            auto const count = static_cast<std::size_t>(n);
            if (!buffers) // the kernel has read them: they are there
                buffers.emplace(given.msg_iov, given.msg_iovlen);
            bool const full = count >= buffers->left();
            if (peek && !full && count > 0 && !at_end(fd)) {
                *message = given; // looked at again, from the start
                break;
            }
            if (got > 0) {
                message->msg_flags = now->msg_flags;
                message->msg_controllen = now->msg_controllen;
            }
            got += count;
            call.note_progress();
            note_received_descriptors(*message);
            bool const more_than_bytes = given.msg_control != nullptr && message->msg_controllen > 0;
            if (full || count == 0 || peek || more_than_bytes || !buffers->advance(count))
                return call.done(static_cast<ssize_t>(got));
            rest = given;
            rest.msg_name = nullptr; // told with the first bytes
            rest.msg_namelen = 0;
            rest.msg_iov = const_cast<iovec*>(buffers->data());
            rest.msg_iovlen = buffers->count();
        }
    } while (call.wait(EPOLLIN, "recvmsg"));
    return got > 0 ? static_cast<ssize_t>(got) : -1;
}

} // namespace

// Datagrams have no urgent data, and unix sockets no queue of errors.
bool ignores(int fd, int flags) noexcept {
    auto const option = [fd](int name) {
        int value = -1;
        socklen_t length = sizeof value;
        sys::get_option(fd, SOL_SOCKET, name, &value, &length);
        return value;
    };
    int const error = errno;
    bool const ignored = (flags & MSG_DONTWAIT) == 0 &&
                         ((flags & MSG_OOB) == 0 || option(SO_TYPE) != SOCK_STREAM) &&
                         ((flags & MSG_ERRQUEUE) == 0 || option(SO_DOMAIN) == AF_UNIX);
    errno = error;
    return ignored;
}

ssize_t receive(int fd, void* buffer, std::size_t size, int flags, sockaddr* address, socklen_t* length,
                time_point limit) noexcept {
    if (fails_as_cancelled())
        return -1;
    io_call call(fd);
    if (!call.possible() || call.known_nonblocking())
        return sys::receive(fd, buffer, size, flags, address, length);
    if (never_waits(flags)) {
        ssize_t const n = sys::receive(fd, buffer, size, flags | MSG_DONTWAIT, address, length);
        if (n >= 0 || errno != EAGAIN || !ignores(fd, flags))
            return n;
    }
    call.limit(limit);
    if (waits_for_all(call, flags))
        return receive_all(call, fd, {static_cast<char*>(buffer), size}, flags);
    for (;;) {
        if (size == 0 || !call.known_drained()) {
            ssize_t const n = sys::receive_now(fd, buffer, size, flags, address, length);
            if (n >= 0 && (flags & MSG_PEEK) == 0)
                call.note_read(static_cast<std::size_t>(n), size);
            if (n >= 0 || errno != EAGAIN)
                return call.done(n);
        }
        if (!call.wait(EPOLLIN, "recv"))
            return -1;
    }
}

ssize_t receive(int fd, msghdr* message, int flags, time_point limit) noexcept {
    if (fails_as_cancelled())
        return -1;
    io_call call(fd);
    if (!call.possible() || call.known_nonblocking())
        return sys::receive(fd, message, flags);
    if (never_waits(flags)) {
        ssize_t const n = sys::receive(fd, message, flags | MSG_DONTWAIT);
        if (n >= 0)
            note_received_descriptors(*message);
        if (n >= 0 || errno != EAGAIN || !ignores(fd, flags))
            return n;
    }
    call.limit(limit);
    if (waits_for_all(call, flags))
        return receive_all(call, fd, message, flags);
    // `message` is looked at only after the kernel could read it: a bad pointer is EFAULT.
    do {
        if (call.known_drained())
            continue;
        ssize_t const n = sys::receive_now(fd, message, flags);
        if (n < 0 && errno == EAGAIN)
            continue;
        if (n >= 0) {
            call.note_read(static_cast<std::size_t>(n), total_size(message->msg_iov, message->msg_iovlen));
            note_received_descriptors(*message);
        }
        return call.done(n);
    } while (call.wait(EPOLLIN, "recvmsg"));
    return -1;
}

} // namespace weft::detail::io
