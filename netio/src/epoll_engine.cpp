#include "epoll_engine.hpp"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <mutex>
#include <new>
#include <span>
#include <system_error>
#include <utility>

#include <weft/detail/park.hpp>

#include "sys.hpp"

namespace weft::detail {
namespace {

constexpr std::uint32_t readable = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR;
constexpr std::uint32_t failed = EPOLLHUP | EPOLLERR;
constexpr std::uint32_t all_events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
constexpr std::size_t shared_bit = 63;
constexpr std::uint64_t notification = 0; // as event data; a registration's generation is never 0

// The engines of all workers of the process, so that any thread can reach those that know a descriptor. An engine is in
// its slot for the whole of its life; whoever holds the mutex may use it.
struct registry {
    std::mutex mutex;
    std::vector<epoll_engine*> slots;
};

registry& engines() {
    static auto* const all = new registry; // never destroyed: descriptors are closed after main(), too
    return *all;
}

std::uint64_t registration(int fd, std::uint32_t generation) noexcept {
    return std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(fd);
}

[[noreturn]] void fail(char const* what) { throw std::system_error(errno, std::system_category(), what); }

// The child of a fork has one thread. Other engines are only memory there, and their descriptors are the parent's files:
// nothing of them must be used.
void forget_other_engines() noexcept {
    for (epoll_engine*& each : engines().slots) {
        if (each != nullptr && each != this_engine) {
            each->close_descriptors();
            each = nullptr;
        }
    }
}

[[gnu::constructor]] void watch_forks() {
    ::pthread_atfork([] { engines().mutex.lock(); },
                     [] {
                         engines().mutex.unlock();
                         descriptors_forked(false);
                     },
                     [] {
                         engines().mutex.unlock();
                         descriptors_forked(true);
                         forget_other_engines();
                     });
}

// Registered by linking netio at all: weft::run then waits with epoll.
[[maybe_unused]] bool const is_default = [] {
    set_default_engine([] { return std::make_unique<epoll_engine>(); });
    return true;
}();

} // namespace

__thread epoll_engine* this_engine = nullptr;

void watch::wake(std::uint32_t events) noexcept {
    for (io_waiter* w = first; w != nullptr;) {
        io_waiter* const next = w->next;
        if ((w->events & events) != 0) {
            unlink(*w);
            detail::wake(*w->fiber, wake_cause::notified);
        }
        w = next;
    }
}

void watch::wake_ended(std::uint32_t generation) noexcept {
    for (io_waiter* w = first; w != nullptr;) {
        io_waiter* const next = w->next;
        if (w->generation == generation) {
            unlink(*w);
            detail::wake(*w->fiber, wake_cause::closed);
        }
        w = next;
    }
}

epoll_engine::epoll_engine(opening when) : home_(calling_worker()) {
    if (int const error = when == opening::now ? open_descriptors() : 0) {
        errno = error;
        fail("weft: cannot create the epoll and eventfd descriptors of a worker (raise ulimit -n?)");
    }
    registry& all = engines();
    std::scoped_lock const lock(all.mutex);
    auto const place = std::find(all.slots.begin(), all.slots.end(), nullptr);
    slot_ = static_cast<std::size_t>(place - all.slots.begin());
    if (place != all.slots.end())
        *place = this;
    else
        all.slots.push_back(this);
    this_engine = this;
}

// 0, or an errno.
int epoll_engine::open_descriptors() noexcept {
    if (epoll_ >= 0)
        return 0;
    epoll_ = hide_descriptor(::epoll_create1(EPOLL_CLOEXEC));
    if (epoll_ < 0)
        return errno;
    int const notifier = hide_descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = notification}};
    notifier_.store(notifier, std::memory_order_release);
    if (notifier < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, notifier, &event) != 0) {
        int const error = errno;
        close_descriptors();
        return error;
    }
    return 0;
}

void epoll_engine::close_descriptors() noexcept {
    for (int const each : {notifier_.exchange(-1), std::exchange(epoll_, -1)}) {
        if (each < 0)
            continue;
        descriptor_closing(each);
        sys::close(each);
    }
}

void epoll_engine::survive_fork() noexcept {
    for (std::unique_ptr<chunk> const& each : chunks_)
        if (each != nullptr)
            each->watches.fill({});
    // The parent's, which it goes on using: closing our numbers of them takes nothing from it.
    close_descriptors();
}

epoll_engine::~epoll_engine() {
    {
        registry& all = engines();
        std::scoped_lock const lock(all.mutex);
        all.slots[slot_] = nullptr;
    }
    this_engine = nullptr;
    close_descriptors();
}

watch* epoll_engine::make_watch(int fd) noexcept {
    std::size_t const index = static_cast<std::size_t>(fd) / chunk_size;
    try {
        chunks_.resize(std::max(chunks_.size(), index + 1));
        chunks_[index] = std::make_unique<chunk>();
    } catch (std::bad_alloc const&) {
        errno = ENOMEM;
        return nullptr;
    }
    return known_watch(fd);
}

bool epoll_engine::add(int fd, descriptor& entry, watch& seen, std::uint32_t generation) noexcept {
    if (int const error = open_descriptors()) {
        errno = error;
        return false;
    }
    // Before the registration: whoever ends the generation from now on tells this engine.
    entry.engines.fetch_or(bit(), std::memory_order_seq_cst);
    epoll_event event{.events = all_events, .data = {.u64 = registration(fd, generation)}};
    // Registering anew, or again, reports what is ready now as an edge.
    int const first_try = seen.registered == generation ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (::epoll_ctl(epoll_, first_try, fd, &event) != 0) {
        int const second_try = errno == EEXIST ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        if ((errno != EEXIST && errno != ENOENT) || ::epoll_ctl(epoll_, second_try, fd, &event) != 0)
            return false;
        // The number was closed behind our back, and is another file's now.
        if (first_try == EPOLL_CTL_MOD && entry.generation.load(std::memory_order_acquire) == generation)
            entry.flags.fetch_and(~descriptor::kind, std::memory_order_acq_rel);
    }
    next_check_ = std::min(next_check_, clock::now() + shortest_check_interval);
    check_interval_ = shortest_check_interval;
    if (seen.registered != generation) {
        seen.registered = generation;
        seen.eager = false;
    }
    seen.drained = false;
    return true;
}

void epoll_engine::repeat_edge(int fd) noexcept {
    watch const* const seen = known_watch(fd);
    if (seen == nullptr || seen->registered == 0)
        return;
    int const error = errno;
    epoll_event event{.events = all_events, .data = {.u64 = registration(fd, seen->registered)}};
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
    errno = error;
}

// There are none to be had: so nothing is waited for but time and notifications, which are looked for now and then.
void epoll_engine::wait_without_descriptors(time_point deadline) noexcept {
    constexpr auto at_most = std::chrono::milliseconds(10);
    auto const left = std::clamp<clock::duration>(deadline - clock::now(), clock::duration::zero(), at_most);
    timespec const limit{.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(left).count()};
    system_call(SYS_ppoll, nullptr, 0, &limit, nullptr, 0);
}

int epoll_engine::wait(time_point deadline) noexcept {
    if (epoll_ < 0) {
        if (deadline == time_point::min())
            return 0;
        if (open_descriptors() != 0)
            wait_without_descriptors(deadline);
        return 0; // a notification that came before there was a descriptor for it is looked for now
    }
    auto const capacity = static_cast<int>(events_.size());
    if (deadline == never)
        return ::epoll_wait(epoll_, events_.data(), capacity, -1);
    if (deadline == time_point::min())
        return ::epoll_wait(epoll_, events_.data(), capacity, 0);
    auto const left = std::max(deadline - clock::now(), clock::duration::zero());
    static bool nanoseconds = true; // epoll_pwait2 is there: Linux 5.11
    if (nanoseconds) {
        auto const seconds = std::chrono::floor<std::chrono::seconds>(left);
        timespec const limit{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
        int const count = static_cast<int>(
            system_call(SYS_epoll_pwait2, epoll_, events_.data(), capacity, &limit, nullptr, 0));
        if (count >= 0 || errno != ENOSYS)
            return count;
        nanoseconds = false;
    }
    auto const most = std::chrono::milliseconds(std::numeric_limits<int>::max());
    auto const limit = std::min(std::chrono::ceil<std::chrono::milliseconds>(left), most);
    return ::epoll_wait(epoll_, events_.data(), capacity, static_cast<int>(limit.count()));
}

// Code that we don't see may have closed a number and opened another file there, of which no event would come. So each registration on
// which somebody waits is tried now and then, few at a time, and ever less often while nothing new is waited for.
void epoll_engine::check_registrations() noexcept {
    constexpr std::size_t most_checked = 64;
    constexpr std::size_t most_seen = 4096;
    std::size_t const end = chunks_.size() * chunk_size;
    std::size_t checked = 0;
    for (std::size_t seen = 0; seen < std::min(end, most_seen) && checked < most_checked; ++seen) {
        check_cursor_ = (check_cursor_ + 1) % end;
        auto const fd = static_cast<int>(check_cursor_);
        watch const* const each = known_watch(fd);
        if (each == nullptr || each->first == nullptr)
            continue;
        ++checked;
        epoll_event event{.events = all_events, .data = {.u64 = registration(fd, each->registered)}};
        if (::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) != 0 && (errno == ENOENT || errno == EBADF))
            descriptor_closing(fd);
    }
    check_interval_ = std::min(check_interval_ * 2, longest_check_interval);
    next_check_ = clock::now() + check_interval_;
}

void epoll_engine::poll(time_point deadline) noexcept {
    bool const idle = deadline != time_point::min();
    int const count = wait(std::min(deadline, next_check_));
    if (idle || ++polls_since_check_ >= polls_between_checks) {
        polls_since_check_ = 0;
        if (next_check_ != never && clock::now() >= next_check_)
            check_registrations();
    }
    if (count <= 0)
        return;
    // Each event leads to a waiter on a fiber's stack, and that to the fiber: two loads that miss the cache, one after
    // the other. Looking ahead lets those of many events be under way at once.
    auto const events = std::span(events_).first(static_cast<std::size_t>(count));
    for (epoll_event const& event : events)
        __builtin_prefetch(first_waiter(event));
    for (epoll_event const& event : events)
        if (io_waiter const* const first = first_waiter(event))
            __builtin_prefetch(first->fiber, 1);
    for (epoll_event const& event : events)
        dispatch(event);
}

io_waiter const* epoll_engine::first_waiter(epoll_event const& event) noexcept {
    if (event.data.u64 == notification)
        return nullptr;
    return known_watch(static_cast<int>(static_cast<std::uint32_t>(event.data.u64)))->first;
}

void epoll_engine::dispatch(epoll_event const& event) noexcept {
    if (event.data.u64 == notification)
        return; // edge-triggered: the counter needn't be read
    auto const fd = static_cast<int>(static_cast<std::uint32_t>(event.data.u64));
    watch& seen = *known_watch(fd); // made when it was registered
    if (seen.registered != event.data.u64 >> 32)
        return;
    std::uint32_t events = event.events;
    if ((events & readable) != 0)
        seen.drained = false;
    if ((events & (failed | EPOLLRDHUP | EPOLLPRI)) != 0)
        seen.eager = true;
    if ((events & EPOLLRDHUP) != 0)
        events |= EPOLLIN;
    if ((events & failed) != 0)
        events |= EPOLLIN | EPOLLOUT | EPOLLPRI;
    seen.wake(events);
}

void epoll_engine::notify() noexcept {
    std::uint64_t const one = 1;
    if (system_call(SYS_write, notifier_.load(std::memory_order_acquire), &one, sizeof one) < 0) {
        // The counter is full: the edge is there already.
    }
}

// One for each engine, the last one shared by those that there are too many of.
std::uint64_t epoll_engine::bit() const noexcept { return std::uint64_t{1} << std::min(slot_, shared_bit); }

void epoll_engine::wake_ended(int fd, std::uint32_t generation) noexcept {
    if (watch* const seen = known_watch(fd))
        seen->wake_ended(generation);
}

struct epoll_engine::end_message : inbox_message {
    end_message(int fd_, std::uint32_t generation_) : fd(fd_), generation(generation_) {
        deliver = [](inbox_message& message) noexcept {
            auto* const self = static_cast<end_message*>(&message);
            if (this_engine != nullptr)
                this_engine->wake_ended(self->fd, self->generation);
            delete self;
        };
    }

    int fd;
    std::uint32_t generation;
};

void epoll_engine::end_generation(int fd, std::uint32_t generation, std::uint64_t bits,
                                  bool remove) noexcept {
    bool const ours_alone =
        this_engine != nullptr && this_engine->slot_ < shared_bit && bits == this_engine->bit();
    if (ours_alone && !remove) {
        this_engine->wake_ended(fd, generation);
        return;
    }
    registry& all = engines();
    std::scoped_lock const lock(all.mutex);
    for (epoll_engine* const each : all.slots) {
        if (each == nullptr || (bits & each->bit()) == 0)
            continue;
        if (remove)
            ::epoll_ctl(each->epoll_, EPOLL_CTL_DEL, fd, nullptr);
        if (each == this_engine)
            each->wake_ended(fd, generation);
        else
            post_message(*each->home_, *new end_message(fd, generation));
    }
}

} // namespace weft::detail
