#include "faults.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <limits>
#include <optional>

#include <weft/detail/park.hpp>

#include "descriptor.hpp"
#include "epoll_engine.hpp"
#include "sys.hpp"
#include "testing/fault_plan.hpp"
#include "user_memory.hpp"

namespace weft::detail::faults {

std::atomic<bool> active{false};

namespace {

using counts = testing::fault_counts;

constexpr std::size_t whole = std::numeric_limits<std::size_t>::max();

int socket_option(int fd, int name) noexcept {
    int value = -1;
    socklen_t length = sizeof value;
    return sys::get_option(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : -1;
}

mode_t kind_of(int fd) noexcept {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? status.st_mode & S_IFMT : mode_t{S_IFREG};
}

// Whether waiting for it is waiting for an event: not for a disk, and terminals have rules of their own.
bool has_events(mode_t kind) noexcept {
    return kind != S_IFREG && kind != S_IFDIR && kind != S_IFBLK && kind != S_IFCHR;
}

bool is_stream(int fd, mode_t kind) noexcept {
    return kind == S_IFSOCK && socket_option(fd, SO_TYPE) == SOCK_STREAM;
}

// Whether it is weft that waits for the descriptor, and not the program, which made it non-blocking.
bool watched_by_us(int fd, mode_t kind) noexcept {
    descriptor const* const entry = known_descriptor(fd);
    bool const own = entry != nullptr && (entry->flags.load() & descriptor::own_nonblocking) != 0;
    int const status = own ? 0 : sys::control(fd, F_GETFL, 0);
    return status >= 0 && (status & O_NONBLOCK) == 0 && has_events(kind);
}

bool on_fiber() noexcept { return current_fiber != nullptr && epoll_engine::current() != nullptr; }

bool keeps_packets(int fd) noexcept {
    descriptor const* const entry = known_descriptor(fd);
    return (entry != nullptr && (entry->flags.load() & descriptor::packets) != 0) ||
           (sys::control(fd, F_GETFL, 0) & O_DIRECT) != 0;
}

// A short read of a packet loses the rest of it; and what a pipe takes at once, it takes whole.
bool may_get_short(int fd, mode_t kind, std::uint32_t events, std::size_t size) noexcept {
    if (size < 2)
        return false;
    if (kind == S_IFIFO)
        return !keeps_packets(fd) && (events == EPOLLIN || size > PIPE_BUF);
    return is_stream(fd, kind);
}

// False if the descriptor was closed meanwhile: who waits for it is told so.
bool delay(int fd, fault_verdict const& verdict) noexcept {
    if (verdict.turns == 0 && verdict.pause.count() == 0)
        return true;
    fault_plan::only().count(verdict, &counts::delays);
    descriptor const* const entry = find_descriptor(fd);
    std::uint32_t const generation = entry != nullptr ? entry->generation.load() : 0;
    for (unsigned i = 0; i < verdict.turns; ++i)
        yield();
    if (verdict.pause.count() > 0)
        sleep_until({"injected delay", fd}, deadline_after(verdict.pause));
    return entry == nullptr || entry->generation.load() == generation;
}

// Ends a connection as a peer's reset does. True if the kernel will tell of it by itself.
bool reset(int fd, mode_t kind, bool& done) noexcept {
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    done = is_stream(fd, kind) && ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0;
    if (!done)
        return false;
    bool const tcp = peer.ss_family == AF_INET || peer.ss_family == AF_INET6;
    if (tcp) {
        // Sends the reset, and leaves ECONNRESET for the next call; after which it is as if the peer's had come.
        sockaddr const nowhere{.sa_family = AF_UNSPEC, .sa_data = {}};
        sys::connect(fd, &nowhere, sizeof nowhere);
    }
    system_call(SYS_shutdown, fd, SHUT_RDWR);
    std::array<char, 4096> scrap;
    while (!tcp && sys::receive(fd, scrap.data(), scrap.size(), MSG_DONTWAIT, nullptr, nullptr) > 0) {
    }
    return tcp;
}

bool would_succeed(int fd, std::uint32_t events) noexcept {
    return sys::look(fd, static_cast<short>(events)) != 0;
}

ssize_t fail(int error) noexcept {
    errno = error;
    return -1;
}

// call(most) with at most so many bytes. `size`: how many it asks for, 0 if it may not get fewer.
template <class Call> ssize_t attempt(int fd, std::uint32_t events, std::size_t size, Call call) noexcept {
    int const error = errno;
    mode_t const kind = kind_of(fd);
    bool const concerned = on_fiber() && watched_by_us(fd, kind);
    errno = error;
    if (!concerned)
        return call(whole);
    fault_plan& plan = fault_plan::only();
    fault_verdict const verdict = plan.draw();
    if (!delay(fd, verdict))
        return fail(EBADF);
    epoll_engine& engine = *epoll_engine::current();
    if (verdict.reset) {
        bool broken = false;
        bool const told = reset(fd, kind, broken);
        if (broken) {
            plan.count(verdict, &counts::resets);
            if (told)
                engine.repeat_edge(fd);
            return fail(told ? EAGAIN : ECONNRESET);
        }
    }
    if (verdict.interrupted) {
        plan.count(verdict, &counts::interruptions);
        return fail(EINTR);
    }
    if (verdict.blocked && would_succeed(fd, events)) {
        engine.repeat_edge(fd);
        plan.count(verdict, &counts::would_block);
        return fail(EAGAIN);
    }
    bool const read = events == EPOLLIN;
    bool const cut =
        (read ? verdict.short_read : verdict.short_write) && may_get_short(fd, kind, events, size);
    errno = error;
    std::size_t const most = cut ? verdict.most_of(size) : whole;
    ssize_t const n = call(most);
    if (!cut || n != static_cast<ssize_t>(most))
        return n;
    plan.count(verdict, read ? &counts::short_reads : &counts::short_writes);
    watch* const seen = engine.known_watch(fd);
    if (!read)
        engine.repeat_edge(fd);
    else if (seen != nullptr)
        seen->withheld = true;
    return n;
}

// The first bytes of the program's buffers: as many as are wanted, in no more than a few parts.
class first_parts {
public:
    // Nothing to be cut if they can't be read, which is the kernel's to say.
    first_parts(iovec const* given, std::size_t count) noexcept : count_(std::min(count, parts_.size())) {
        int const error = errno;
        if (!copy_in(parts_.data(), given, count_ * sizeof(iovec)))
            count_ = 0;
        errno = error;
        for (std::size_t i = 0; i < count_; ++i)
            size_ += parts_[i].iov_len;
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] iovec* data() noexcept { return parts_.data(); }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

    void cut(std::size_t most) noexcept {
        for (std::size_t i = 0; i < count_; ++i) {
            parts_[i].iov_len = std::min(parts_[i].iov_len, most);
            most -= parts_[i].iov_len;
        }
    }

private:
    std::array<iovec, 8> parts_;
    std::size_t count_;
    std::size_t size_ = 0;
};

constexpr int not_bytes = MSG_PEEK | MSG_OOB | MSG_ERRQUEUE;

// One call with several parts, of which a copy is given if there are to be fewer bytes.
template <class Call>
ssize_t attempt_parts(int fd, std::uint32_t events, iovec const* given, std::size_t count,
                      Call call) noexcept {
    first_parts parts(given, count);
    return attempt(fd, events, parts.size(), [&](std::size_t most) {
        if (most == whole)
            return call(given, count);
        parts.cut(most);
        return call(static_cast<iovec const*>(parts.data()), parts.count());
    });
}

// The same of a message; its other fields are told in the program's own.
template <class Call>
ssize_t attempt_message(int fd, std::uint32_t events, msghdr const* given, bool bytes, Call call) noexcept {
    msghdr copy{};
    int const error = errno;
    bool const there = bytes && copy_in(copy, given);
    errno = error;
    first_parts parts(there ? copy.msg_iov : nullptr, there ? copy.msg_iovlen : 0);
    return attempt(fd, events, parts.size(), [&](std::size_t most) {
        if (most == whole)
            return call(nullptr);
        parts.cut(most);
        copy.msg_iov = parts.data();
        copy.msg_iovlen = parts.count();
        return call(&copy);
    });
}

} // namespace

ssize_t receive(int fd, void* buffer, std::size_t size, int flags, sockaddr* address,
                socklen_t* length) noexcept {
    return attempt(fd, EPOLLIN, (flags & not_bytes) != 0 ? 0 : size, [=](std::size_t most) {
        return sys::receive(fd, buffer, std::min(size, most), flags | MSG_DONTWAIT, address, length);
    });
}

ssize_t receive(int fd, msghdr* message, int flags) noexcept {
    return attempt_message(fd, EPOLLIN, message, (flags & not_bytes) == 0, [=](msghdr* shorter) {
        ssize_t const n = sys::receive(fd, shorter != nullptr ? shorter : message, flags | MSG_DONTWAIT);
        if (shorter == nullptr || n < 0)
            return n;
        message->msg_namelen = shorter->msg_namelen;
        message->msg_controllen = shorter->msg_controllen;
        message->msg_flags = shorter->msg_flags;
        return n;
    });
}

int receive(int fd, mmsghdr* messages, unsigned count, int flags) noexcept {
    return static_cast<int>(attempt(fd, EPOLLIN, 0, [=](std::size_t) {
        return sys::receive(fd, messages, count, flags | MSG_DONTWAIT, nullptr);
    }));
}

ssize_t send(int fd, void const* data, std::size_t size, int flags, sockaddr const* address,
             socklen_t length) noexcept {
    // What the program would not wait for, or what connects at once, is not ours.
    if ((flags & (MSG_DONTWAIT | MSG_FASTOPEN)) != 0)
        return sys::send(fd, data, size, flags | MSG_DONTWAIT, address, length);
    return attempt(fd, EPOLLOUT, (flags & not_bytes) != 0 ? 0 : size, [=](std::size_t most) {
        return sys::send(fd, data, std::min(size, most), flags | MSG_DONTWAIT, address, length);
    });
}

ssize_t send(int fd, msghdr const* message, int flags) noexcept {
    if ((flags & MSG_FASTOPEN) != 0)
        return sys::send(fd, message, flags | MSG_DONTWAIT);
    return attempt_message(fd, EPOLLOUT, message, (flags & not_bytes) == 0, [=](msghdr const* shorter) {
        return sys::send(fd, shorter != nullptr ? shorter : message, flags | MSG_DONTWAIT);
    });
}

int send(int fd, mmsghdr* messages, unsigned count, int flags) noexcept {
    return static_cast<int>(attempt(
        fd, EPOLLOUT, 0, [=](std::size_t) { return sys::send(fd, messages, count, flags | MSG_DONTWAIT); }));
}

ssize_t send_file(int to, int from, long* offset, std::size_t size) noexcept {
    return attempt(to, EPOLLOUT, size,
                   [=](std::size_t most) { return sys::send_file(to, from, offset, std::min(size, most)); });
}

ssize_t read(int fd, iovec const* parts, int count) noexcept {
    return attempt_parts(fd, EPOLLIN, parts, static_cast<std::size_t>(count),
                         [=](iovec const* some, std::size_t number) {
                             return sys::read_at(fd, some, static_cast<int>(number), -1, RWF_NOWAIT);
                         });
}

ssize_t write(int fd, iovec const* parts, int count) noexcept {
    return attempt_parts(fd, EPOLLOUT, parts, static_cast<std::size_t>(count),
                         [=](iovec const* some, std::size_t number) {
                             return sys::write_at(fd, some, static_cast<int>(number), -1, RWF_NOWAIT);
                         });
}

// Between poll and accept, and while connect's socket is non-blocking, nothing may switch: no delays.
int accept(int fd, sockaddr* address, socklen_t* length, int flags) noexcept {
    int const error = errno;
    if (on_fiber() && watched_by_us(fd, kind_of(fd))) {
        fault_verdict const verdict = fault_plan::only().draw();
        if (verdict.interrupted) {
            fault_plan::only().count(verdict, &counts::interruptions);
            return static_cast<int>(fail(EINTR));
        }
    }
    errno = error;
    return sys::accept(fd, address, length, flags);
}

// Interrupted, it goes on without its caller.
int connect(int fd, sockaddr const* address, socklen_t length) noexcept {
    int const result = sys::connect(fd, address, length);
    if (result == 0 || errno != EINPROGRESS || !on_fiber())
        return result;
    fault_verdict const verdict = fault_plan::only().draw();
    if (verdict.interrupted)
        fault_plan::only().count(verdict, &counts::interruptions);
    return static_cast<int>(fail(verdict.interrupted ? EINTR : EINPROGRESS));
}

// Nor here: some who look hold something meanwhile.
short events(int fd, short wanted) noexcept {
    short const found = sys::look(fd, wanted);
    if (found == 0 || (wanted & (POLLIN | POLLOUT)) == 0 || !on_fiber())
        return found;
    int const error = errno;
    bool const ours = watched_by_us(fd, kind_of(fd));
    errno = error;
    if (!ours)
        return found;
    fault_verdict const verdict = fault_plan::only().draw();
    if (!verdict.blocked)
        return found;
    epoll_engine::current()->repeat_edge(fd);
    fault_plan::only().count(verdict, &counts::would_block);
    return 0;
}

namespace {

// A look at several descriptors. `look` finds what is ready; conceal(), if that can be kept from the caller, which will look again once
// it is woken, does so.
template <class Look, class Conceal> int look_at_several(Look look, Conceal conceal) noexcept {
    if (!on_fiber())
        return look();
    fault_plan& plan = fault_plan::only();
    fault_verdict const verdict = plan.draw();
    delay(-1, verdict);
    if (verdict.interrupted) {
        plan.count(verdict, &counts::interruptions);
        return static_cast<int>(fail(EINTR));
    }
    if (!verdict.blocked)
        return look();
    return conceal(verdict);
}

// Not FD_ISSET(), as there may be more than FD_SETSIZE.
bool is_in(fd_set const& set, int fd) noexcept {
    constexpr std::size_t bits = 8 * sizeof(unsigned long); // what the kernel counts in
    auto const number = static_cast<std::size_t>(fd);
    return (reinterpret_cast<unsigned long const*>(&set)[number / bits] >> number % bits & 1U) != 0;
}

// Whether it will be heard of again. What epoll doesn't take is ready for ever, and nothing would wake its waiter.
bool repeat(int fd) noexcept {
    if (!has_events(kind_of(fd)))
        return false;
    epoll_engine::current()->repeat_edge(fd);
    return true;
}

} // namespace

int poll(pollfd* fds, std::size_t count) noexcept {
    auto const look = [=] { return sys::poll_now(fds, count); };
    return look_at_several(look, [=](fault_verdict const& verdict) {
        int const found = look();
        bool repeated = false;
        for (std::size_t i = 0; found > 0 && i < count; ++i)
            if (fds[i].fd >= 0 && fds[i].revents != 0)
                repeated = repeat(fds[i].fd) || repeated;
        if (!repeated)
            return found;
        for (std::size_t i = 0; i < count; ++i)
            fds[i].revents = 0;
        fault_plan::only().count(verdict, &counts::would_block);
        return 0;
    });
}

int select(int count, fd_set* read, fd_set* write, fd_set* except) noexcept {
    auto const look = [=] { return sys::select_now(count, read, write, except); };
    return look_at_several(look, [=](fault_verdict const& verdict) {
        int const found = look();
        bool repeated = false;
        for (int fd = 0; found > 0 && fd < count; ++fd)
            for (fd_set const* const each : {read, write, except})
                if (each != nullptr && is_in(*each, fd))
                    repeated = repeat(fd) || repeated;
        if (!repeated)
            return found;
        fault_plan::only().count(verdict, &counts::would_block);
        return 0;
    });
}

// Only looked at, not taken: what it reports once is not lost.
int epoll(int epoll, epoll_event* events, int most) noexcept {
    auto const look = [=] { return sys::epoll_now(epoll, events, most); };
    return look_at_several(look, [=](fault_verdict const& verdict) {
        if (sys::look(epoll, POLLIN) == 0 || !repeat(epoll))
            return look();
        fault_plan::only().count(verdict, &counts::would_block);
        return 0;
    });
}

} // namespace weft::detail::faults
