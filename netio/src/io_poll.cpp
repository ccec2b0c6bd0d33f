#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <new>

#include "ended_wait.hpp"
#include "epoll_engine.hpp"
#include "io.hpp"
#include "io_call.hpp"
#include "user_memory.hpp"

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

// One of select's sets, as the program gave it: of as many bits as it says, not fd_set's 1024.
class descriptor_set {
public:
    descriptor_set(fd_set* given, int count) noexcept
        : given_(given), words_((static_cast<std::size_t>(count) + bits - 1) / bits) {}

    // False with EFAULT or ENOMEM.
    bool take() noexcept {
        if (given_ == nullptr)
            return true;
        if (words_ > few_.size()) {
            many_.reset(new (std::nothrow) word[words_]);
            copy_ = many_.get();
        }
        if (copy_ == nullptr) {
            errno = ENOMEM;
            return false;
        }
        return words_ == 0 || copy_in(copy_, given_, words_ * sizeof(word));
    }

    // Not before the kernel could write there.
    void restore() const noexcept {
        if (given_ != nullptr)
            std::copy_n(copy_, words_, reinterpret_cast<word*>(given_));
    }

    [[nodiscard]] bool has(int fd) const noexcept {
        auto const number = static_cast<std::size_t>(fd);
        return given_ != nullptr && (copy_[number / bits] >> number % bits & 1U) != 0;
    }

private:
    using word = unsigned long; // what the kernel counts in
    static constexpr std::size_t bits = 8 * sizeof(word);

    fd_set* given_;
    std::size_t words_;
    std::array<word, FD_SETSIZE / bits> few_;
    std::unique_ptr<word[]> many_;
    word* copy_ = few_.data();
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

int ended(int error) noexcept {
    errno = error;
    return finish(-1);
}

// look(whether it is waited after) until it finds something, `deadline`, or a handler has run since handled_signals was `signals`.
// `add_all` names what is looked at.
template <class Look, class AddAll>
int wait_for_any(std::size_t count, wait_limit const& limit, char const* operation, Look look,
                 AddAll add_all) noexcept {
    time_point const deadline = limit.deadline;
    if (fails_as_cancelled())
        return -1;
    epoll_engine* const engine = epoll_engine::current();
    bool const waits_after = faults::are_injected() && engine != nullptr && deadline > clock::now();
    int found = look(waits_after);
    if (found == 0 && limit.begin != nullptr)
        limit.begin(limit.argument);
    if (found == 0 && handled_signals != limit.signals)
        return ended(EINTR);
    if (found != 0 || engine == nullptr)
        return finish(found);
    if (deadline <= clock::now()) // an injected fault may have taken the time, and hidden what there is
        return finish(waits_after ? look(false) : found);
    multiple_wait waiting(*engine);
    if (!waiting.reserve(count))
        return -1;
    add_all(waiting);
    for (;;) {
        found = look(true);
        if (found != 0)
            return finish(found);
        if (handled_signals != limit.signals)
            return ended(EINTR);
        switch (waiting.park_until({operation, static_cast<std::intptr_t>(count)}, deadline)) {
        case wake_cause::timed_out: return look(false);
        case wake_cause::interrupted: return ended(EINTR);
        case wake_cause::cancelled: return ended(ECANCELED);
        default: break;
        }
    }
}

} // namespace

bool wait_until_readable(int fd, char const* operation) noexcept {
    while (sys::events_now(fd, POLLIN) == 0) {
        io_call call(fd);
        errno = ENOMEM;
        if (!call.possible() || !call.wait(EPOLLIN, operation))
            return false;
    }
    return true;
}

int poll(pollfd* fds, nfds_t count, wait_limit const& limit) noexcept {
    return wait_for_any(
        count, limit, "poll", [=](bool waits_after) { return sys::poll_now(fds, count, waits_after); },
        [=](multiple_wait& waiting) {
            for (nfds_t i = 0; i < count; ++i)
                if (fds[i].fd >= 0)
                    waiting.add(fds[i].fd, epoll_events(fds[i].events));
        });
}

int select(int count, fd_set* read, fd_set* write, fd_set* except, wait_limit const& limit) noexcept {
    if (count < 0)
        return sys::select_now(count, read, write, except);
    descriptor_set wanted_read(read, count);
    descriptor_set wanted_write(write, count);
    descriptor_set wanted_except(except, count);
    if (!wanted_read.take() || !wanted_write.take() || !wanted_except.take())
        return -1;
    auto const restore = [&] {
        wanted_read.restore();
        wanted_write.restore();
        wanted_except.restore();
    };
    bool written = false;
    auto const look = [&](bool waits_after) {
        if (written)
            restore(); // the kernel overwrites the sets with what it found
        int const result = sys::select_now(count, read, write, except, waits_after);
        written = result >= 0;
        return result;
    };
    auto const add_all = [&](multiple_wait& waiting) {
        for (int fd = 0; fd < count; ++fd) {
            std::uint32_t events = 0;
            if (wanted_read.has(fd))
                events |= EPOLLIN;
            if (wanted_write.has(fd))
                events |= EPOLLOUT;
            if (wanted_except.has(fd))
                events |= EPOLLPRI;
            if (events != 0)
                waiting.add(fd, events);
        }
    };
    int const found = wait_for_any(static_cast<std::size_t>(count), limit, "select", look, add_all);
    if (found < 0 && written)
        restore(); // who is interrupted passes them again
    return found;
}

int epoll_wait(int epoll, epoll_event* events, int most, wait_limit const& limit) noexcept {
    return wait_for_any(
        1, limit, "epoll_wait",
        [=](bool waits_after) { return sys::epoll_now(epoll, events, most, waits_after); },
        [=](multiple_wait& waiting) { waiting.add(epoll, EPOLLIN); });
}

} // namespace weft::detail::io
