#include "io_call.hpp"

#include <netinet/in.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "ended_wait.hpp"

namespace weft::detail {
namespace {

// The time limit that the program has set for calls in this direction.
time_point option_deadline(int fd, std::uint32_t events) noexcept {
    timeval limit{};
    socklen_t length = sizeof limit;
    int const name = (events & EPOLLOUT) != 0 ? SO_SNDTIMEO : SO_RCVTIMEO;
    int const error = errno;
    bool const set = sys::get_option(fd, SOL_SOCKET, name, &limit, &length) == 0 &&
                     (limit.tv_sec != 0 || limit.tv_usec != 0);
    errno = error;
    if (!set)
        return never;
    return deadline_after(std::chrono::seconds(limit.tv_sec) + std::chrono::microseconds(limit.tv_usec));
}

// What was opened for the other direction alone never becomes ready.
bool open_for(int status, std::uint32_t events) noexcept {
    int const mode = status & O_ACCMODE;
    return mode != ((events & EPOLLOUT) != 0 ? O_RDONLY : O_WRONLY);
}

int socket_option(int fd, int name) noexcept {
    int value = 0;
    socklen_t length = sizeof value;
    return sys::get_option(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : -1;
}

} // namespace

std::uint32_t socket_flags(int domain, int type, int protocol) noexcept {
    if (type != SOCK_STREAM)
        return descriptor::socket;
    std::uint32_t const flags = descriptor::socket | descriptor::stream;
    bool const internet = domain == AF_INET || domain == AF_INET6;
    return internet && (protocol == 0 || protocol == IPPROTO_TCP) ? flags | descriptor::tcp : flags;
}

void io_call::learn_socket() noexcept {
    if (is(descriptor::socket))
        return;
    int const error = errno;
    int const type = socket_option(fd_, SO_TYPE);
    if (type >= 0) {
        bool const timed = option_deadline(fd_, EPOLLIN) != never || option_deadline(fd_, EPOLLOUT) != never;
        note_kind(socket_flags(socket_option(fd_, SO_DOMAIN), type, socket_option(fd_, SO_PROTOCOL)) |
                  (timed ? descriptor::timed : 0U));
    }
    errno = error;
}

bool io_call::nonblocking() const noexcept {
    if (descriptor::trusted(flags_))
        return is(descriptor::nonblocking);
    int const error = errno;
    int const status = sys::control(fd_, F_GETFL, 0);
    errno = error;
    return status >= 0 && (status & O_NONBLOCK) != 0;
}

io_call::wait_limits io_call::limits(std::uint32_t events) const noexcept {
    time_point const option = option_deadline(fd_, events);
    return {std::min(deadline_, option),
            option == never ? interruption::unless_restarted : interruption::always};
}

// signal(7): a call with a time limit of the socket's is not restarted.
void io_call::take_option_limit(std::uint32_t events) noexcept {
    time_point const option = option_deadline(fd_, events);
    deadline_ = std::min(deadline_, option);
    ended_by_any_handler_ = ended_by_any_handler_ || option != never;
}

// Before the first wait of a call. What is not trusted is asked of the kernel, so that nothing stale is acted on.
bool io_call::begin_wait(std::uint32_t events) noexcept {
    waited_ = true;
    if (descriptor::trusted(flags_)) {
        if ((flags_ & descriptor::nonblocking) != 0) {
            errno = EAGAIN;
            return false;
        }
        if ((flags_ & descriptor::timed) != 0)
            take_option_limit(events);
        return true;
    }
    int const status = sys::control(fd_, F_GETFL, 0);
    if (status < 0)
        return false;
    if ((status & O_NONBLOCK) != 0 && (flags_ & descriptor::own_nonblocking) == 0) {
        errno = EAGAIN;
        return false;
    }
    if (!open_for(status, events)) {
        errno = EBADF;
        return false;
    }
    take_option_limit(events);
    return true;
}

bool io_call::wait(std::uint32_t events, char const* operation) noexcept {
    constexpr std::uint32_t questions =
        descriptor::tracked | descriptor::shared | descriptor::nonblocking | descriptor::timed;
    bool const no_questions = (flags_ & questions) == descriptor::tracked;
    if (!waited_ && !no_questions && !begin_wait(events))
        return false;
    watch* const seen = engine_->find_watch(fd_);
    if (seen == nullptr || !engine_->arm(fd_, *entry_, *seen, generation_, descriptor::trusted(flags_)))
        return false;
    fiber_core& self = *current_fiber;
    io_waiter waiter{.fiber = &self, .generation = generation_, .events = events};
    begin_park(self);
    seen->link(waiter);
    // arm() has made the engine known to whoever ends the generation: what this look misses, they wake.
    if (ended() && cancel_park(self)) {
        seen->unlink(waiter);
        errno = EBADF;
        return false;
    }
    auto const interruptible = ended_by_any_handler_ ? interruption::always : interruption::unless_restarted;
    wake_cause const cause = park({operation, fd_}, deadline_, interruptible);
    if (waiter.linked)
        seen->unlink(waiter);
    if (ended()) {
        errno = EBADF;
        return false;
    }
    int const error = cause == wake_cause::timed_out ? EAGAIN : ended_by(cause);
    if (error != 0)
        errno = error;
    return error == 0;
}

} // namespace weft::detail
