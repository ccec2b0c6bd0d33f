// The patched calls that wait for several descriptors at once.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <optional>

#include "../descriptor.hpp"
#include "../io.hpp"
#include "../user_memory.hpp"
#include "libc_function.hpp"
#include "on_fiber.hpp"
#include "signal_mask.hpp"

using weft::detail::copy_in;
using weft::detail::libc_function;
using weft::detail::on_fiber;
using weft::detail::scoped_signal_mask;
namespace io = weft::detail::io;

namespace {

constexpr libc_function<"poll", int(pollfd*, nfds_t, int)> libc_poll;
constexpr libc_function<"ppoll", int(pollfd*, nfds_t, timespec const*, sigset_t const*)> libc_ppoll;
constexpr libc_function<"__poll_chk", int(pollfd*, nfds_t, int, size_t)> libc_poll_chk;
constexpr libc_function<"__ppoll_chk", int(pollfd*, nfds_t, timespec const*, sigset_t const*, size_t)>
    libc_ppoll_chk;
constexpr libc_function<"select", int(int, fd_set*, fd_set*, fd_set*, timeval*)> libc_select;
constexpr libc_function<"pselect", int(int, fd_set*, fd_set*, fd_set*, timespec const*, sigset_t const*)>
    libc_pselect;
constexpr libc_function<"epoll_wait", int(int, epoll_event*, int, int)> libc_epoll_wait;
constexpr libc_function<"epoll_pwait", int(int, epoll_event*, int, int, sigset_t const*)> libc_epoll_pwait;
constexpr libc_function<"epoll_pwait2", int(int, epoll_event*, int, timespec const*, sigset_t const*)>
    libc_epoll_pwait2;

weft::time_point deadline_of(int milliseconds) noexcept {
    return milliseconds < 0 ? weft::never : weft::deadline_after(std::chrono::milliseconds(milliseconds));
}

// The deadline that `timeout` makes, null being none. False with EFAULT or EINVAL.
bool take_timeout(timespec const* timeout, weft::time_point& deadline) noexcept {
    using long_seconds =
        std::chrono::duration<long double>; // of which there may be more than nanoseconds can count
    constexpr long second = 1'000'000'000;
    timespec asked{};
    deadline = weft::never;
    if (timeout == nullptr)
        return true;
    if (!copy_in(asked, timeout))
        return false;
    if (asked.tv_sec < 0 || asked.tv_nsec < 0 || asked.tv_nsec >= second) {
        errno = EINVAL;
        return false;
    }
    deadline = weft::deadline_after(long_seconds(asked.tv_sec) + std::chrono::nanoseconds(asked.tv_nsec));
    return true;
}

// Linux tells through the timeout how much of it was left.
void tell_what_is_left(timeval& timeout, weft::time_point deadline) noexcept {
    auto const left = std::max(deadline - weft::clock::now(), weft::clock::duration::zero());
    auto const seconds = std::chrono::floor<std::chrono::seconds>(left);
    timeout.tv_sec = seconds.count();
    timeout.tv_usec = std::chrono::floor<std::chrono::microseconds>(left - seconds).count();
}

// The mask changes after the first look: only if that finds nothing, what is pending is handled, and ends the wait, as in the kernel.
template <class Wait> int with_mask(sigset_t const* given, timespec const* timeout, Wait wait) noexcept {
    constexpr std::size_t kernels_size = NSIG / 8;
    weft::time_point deadline;
    if (!take_timeout(timeout, deadline))
        return -1;
    struct {
        sigset_t mask{};
        std::optional<scoped_signal_mask> scope;
    } state;
    io::wait_limit limit = deadline;
    if (given != nullptr) {
        if (!copy_in(&state.mask, given, kernels_size))
            return -1;
        limit.argument = &state;
        limit.begin = [](void* argument) {
            auto& mine = *static_cast<decltype(state)*>(argument);
            mine.scope.emplace(&mine.mask);
        };
    }
    return wait(limit);
}

// weft's own descriptors are not open, as far as the program can tell; and a wait on its epoll would be one for itself.
bool refused(int epoll) noexcept {
    bool const hidden = weft::detail::is_hidden(epoll);
    if (hidden)
        errno = EBADF;
    return hidden;
}

} // namespace

extern "C" {

int poll(pollfd* fds, nfds_t count, int timeout) {
    if (!on_fiber())
        return libc_poll(fds, count, timeout);
    return io::poll(fds, count, deadline_of(timeout));
}

int ppoll(pollfd* fds, nfds_t count, timespec const* timeout, sigset_t const* mask) {
    if (!on_fiber())
        return libc_ppoll(fds, count, timeout, mask);
    return with_mask(mask, timeout, [=](io::wait_limit const& limit) { return io::poll(fds, count, limit); });
}

int select(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) {
    if (!on_fiber())
        return libc_select(count, read, write, except, timeout);
    timeval asked{};
    weft::time_point deadline = weft::never;
    if (timeout != nullptr) {
        if (!copy_in(asked, timeout))
            return -1;
        if (asked.tv_sec < 0 || asked.tv_usec < 0) {
            errno = EINVAL;
            return -1;
        }
        deadline = weft::deadline_after(std::chrono::duration<long double>(asked.tv_sec) +
                                        std::chrono::microseconds(asked.tv_usec));
    }
    int const result = io::select(count, read, write, except, deadline);
    int const error = errno;
    if (timeout != nullptr)
        tell_what_is_left(*timeout, deadline);
    errno = error;
    return result;
}

int pselect(int count, fd_set* read, fd_set* write, fd_set* except, timespec const* timeout,
            sigset_t const* mask) {
    if (!on_fiber())
        return libc_pselect(count, read, write, except, timeout, mask);
    return with_mask(mask, timeout, [=](io::wait_limit const& limit) {
        return io::select(count, read, write, except, limit);
    });
}

int epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
    if (!on_fiber())
        return libc_epoll_wait(epoll, events, most, timeout);
    if (refused(epoll))
        return -1;
    return io::epoll_wait(epoll, events, most, deadline_of(timeout));
}

int epoll_pwait(int epoll, epoll_event* events, int most, int timeout, sigset_t const* mask) {
    if (!on_fiber())
        return libc_epoll_pwait(epoll, events, most, timeout, mask);
    if (refused(epoll))
        return -1;
    timespec const limit{.tv_sec = timeout / 1000, .tv_nsec = timeout % 1000 * 1'000'000L};
    return with_mask(mask, timeout < 0 ? nullptr : &limit,
                     [=](io::wait_limit const& until) { return io::epoll_wait(epoll, events, most, until); });
}

int epoll_pwait2(int epoll, epoll_event* events, int most, timespec const* timeout, sigset_t const* mask) {
    if (!on_fiber())
        return libc_epoll_pwait2(epoll, events, most, timeout, mask);
    if (refused(epoll))
        return -1;
    return with_mask(mask, timeout,
                     [=](io::wait_limit const& limit) { return io::epoll_wait(epoll, events, most, limit); });
}

int __poll_chk(pollfd* fds, nfds_t count, int timeout, size_t room) {
    if (count > room / sizeof *fds || !on_fiber())
        return libc_poll_chk(fds, count, timeout, room);
    return io::poll(fds, count, deadline_of(timeout));
}

int __ppoll_chk(pollfd* fds, nfds_t count, timespec const* timeout, sigset_t const* mask, size_t room) {
    if (count > room / sizeof *fds)
        return libc_ppoll_chk(fds, count, timeout, mask, room);
    return ppoll(fds, count, timeout, mask);
}

// libc's own older names, which old binaries call.
int __poll(pollfd* fds, nfds_t count, int timeout) { return poll(fds, count, timeout); }
int __select(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) {
    return select(count, read, write, except, timeout);
}

} // extern "C"
