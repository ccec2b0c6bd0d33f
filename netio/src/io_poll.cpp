#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <new>

#include "epoll_engine.hpp"
#include "io.hpp"
#include "io_call.hpp"

namespace weft::detail::io {
namespace {

// A fiber that waits for any of several descriptors, as long as this lives.
//
// The order is: watch everything (an edge from now on wakes us), look, then park; so nothing falls between.
class multiple_wait {
public:
    explicit multiple_wait(epoll_engine& engine) noexcept : engine_(engine), self_(*current_fiber) {}
    multiple_wait(multiple_wait const&) = delete;
    multiple_wait& operator=(multiple_wait const&) = delete;
    ~multiple_wait() { unlink(); }

    // False with ENOMEM.
    bool reserve(std::size_t count) noexcept {
        if (count <= few_.size())
            return true;
        many_.reset(new (std::nothrow) entry[count]);
        entries_ = many_.get();
        errno = ENOMEM;
        return entries_ != nullptr;
    }

    // A descriptor that can't be watched needs no watching: it is always ready, or an error; a look tells.
    void add(int fd, std::uint32_t events) noexcept {
        descriptor* const known = find_descriptor(fd);
        watch* const seen = known != nullptr ? engine_.find_watch(fd) : nullptr;
        if (seen == nullptr)
            return;
        std::uint32_t const generation = known->generation.load(std::memory_order_acquire);
        bool const trusted = descriptor::trusted(known->flags.load(std::memory_order_acquire));
        if (!engine_.arm(fd, *known, *seen, generation, trusted))
            return;
        entry& added = entries_[count_++];
        added.seen = seen;
        added.known = known;
        added.waiter = {.fiber = &self_, .generation = generation, .events = events};
    }

    wake_cause park_until(wait_reason reason, time_point deadline) noexcept {
        begin_park(self_);
        bool ended = false;
        for (std::size_t i = 0; i < count_; ++i) {
            entry& each = entries_[i];
            each.seen->link(each.waiter);
            ended = ended || each.known->generation.load(std::memory_order_seq_cst) != each.waiter.generation;
        }
        wake_cause cause = wake_cause::closed;
        if (!ended || !cancel_park(self_))
            cause = park(reason, deadline, interruption::always);
        unlink();
        return cause;
    }

private:
    struct entry {
        io_waiter waiter;
        watch* seen = nullptr;
        descriptor* known = nullptr;
    };

    void unlink() noexcept {
        for (std::size_t i = 0; i < count_; ++i)
            if (entries_[i].waiter.linked)
                entries_[i].seen->unlink(entries_[i].waiter);
    }

    epoll_engine& engine_;
    fiber_core& self_;
    std::array<entry, 4> few_;
    std::unique_ptr<entry[]> many_;
    entry* entries_ = few_.data();
    std::size_t count_ = 0;
};

std::uint32_t epoll_events(short events) noexcept {
    std::uint32_t result = 0;
    if ((events & (POLLIN | POLLRDNORM | POLLRDBAND | POLLRDHUP)) != 0)
        result |= EPOLLIN;
    if ((events & (POLLOUT | POLLWRNORM | POLLWRBAND)) != 0)
        result |= EPOLLOUT;
    if ((events & POLLPRI) != 0)
        result |= EPOLLPRI;
    // Errors and hang-ups are reported even to who asked for nothing; the engine shows them as all three.
    return result != 0 ? result : std::uint32_t{EPOLLPRI};
}

int finish(int result) noexcept {
    count_call(*current_fiber);
    return result;
}

int interrupted() noexcept {
    errno = EINTR;
    return finish(-1);
}

// look() until it finds something, `deadline`, or a handler has run since handled_signals was `signals`. `add_all` names what
// is looked at.
template <class Look, class AddAll>
int wait_for_any(std::size_t count, wait_limit const& limit, char const* operation, Look look,
                 AddAll add_all) noexcept {
    time_point const deadline = limit.deadline;
    int found = look();
    epoll_engine* const engine = epoll_engine::current();
    if (found != 0 || deadline <= clock::now() || engine == nullptr)
        return finish(found);
    multiple_wait waiting(*engine);
    if (!waiting.reserve(count))
        return -1;
    add_all(waiting);
    for (;;) {
        found = look();
        if (found != 0)
            return finish(found);
        if (handled_signals != limit.signals)
            return interrupted();
        switch (waiting.park_until({.operation = operation, .subject = static_cast<std::intptr_t>(count)},
                                   deadline)) {
        case wake_cause::timed_out: return look();
        case wake_cause::interrupted: return interrupted();
        default: break;
        }
    }
}

} // namespace

bool wait_until_readable(int fd, char const* operation) noexcept {
    while (sys::events_now(fd, POLLIN) == 0) {
        io_call call(fd);
        if (!call.possible() || !call.wait(EPOLLIN, operation))
            return false;
    }
    return true;
}

int poll(pollfd* fds, nfds_t count, wait_limit const& limit) noexcept {
    return wait_for_any(
        count, limit, "poll", [=] { return sys::poll_now(fds, count); },
        [=](multiple_wait& waiting) {
            for (nfds_t i = 0; i < count; ++i)
                if (fds[i].fd >= 0)
                    waiting.add(fds[i].fd, epoll_events(fds[i].events));
        });
}

int select(int count, fd_set* read, fd_set* write, fd_set* except, wait_limit const& limit) noexcept {
    fd_set const none{};
    fd_set const wanted_read = read != nullptr ? *read : none;
    fd_set const wanted_write = write != nullptr ? *write : none;
    fd_set const wanted_except = except != nullptr ? *except : none;
    auto const look = [&] {
        // The kernel overwrites the sets with what it found.
        if (read != nullptr)
            *read = wanted_read;
        if (write != nullptr)
            *write = wanted_write;
        if (except != nullptr)
            *except = wanted_except;
        return sys::select_now(count, read, write, except);
    };
    auto const add_all = [&](multiple_wait& waiting) {
        for (int fd = 0; fd < std::min(count, FD_SETSIZE); ++fd) {
            std::uint32_t events = 0;
            if (FD_ISSET(fd, &wanted_read))
                events |= EPOLLIN;
            if (FD_ISSET(fd, &wanted_write))
                events |= EPOLLOUT;
            if (FD_ISSET(fd, &wanted_except))
                events |= EPOLLPRI;
            if (events != 0)
                waiting.add(fd, events);
        }
    };
    return wait_for_any(static_cast<std::size_t>(count > 0 ? count : 0), limit, "select", look, add_all);
}

int epoll_wait(int epoll, epoll_event* events, int most, wait_limit const& limit) noexcept {
    return wait_for_any(
        1, limit, "epoll_wait", [=] { return sys::epoll_now(epoll, events, most); },
        [=](multiple_wait& waiting) { waiting.add(epoll, EPOLLIN); });
}

} // namespace weft::detail::io
