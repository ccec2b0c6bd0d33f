#include "child_wait.hpp"

#include <pthread.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <list>
#include <mutex>
#include <new>

#include <weft/detail/helper_thread.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/spinlock.hpp>

#include "ended_wait.hpp"
#include "io.hpp"
#include "sys.hpp"

namespace weft::detail {
namespace {

constexpr int kinds = WEXITED | WSTOPPED | WCONTINUED;
constexpr int bits_of_who =
    static_cast<int>(__WALL | __WCLONE); // which children; __WNOTHREAD can't be asked for another thread

struct waiting_fiber {
    waiting_fiber* next = nullptr;
    fiber_core* fiber = nullptr;
};

// A thread that waits for one kind of change. It ends when it has seen one.
struct watcher {
    idtype_t type;
    id_t id;
    int options;
    waiting_fiber* fibers = nullptr;
};

// Threads: any; the fibers' list is changed under the lock.
class watchers {
public:
    // Puts `self`, whose fiber has begun to park, on a watcher's list. False if no thread could be had for it.
    bool join(waiting_fiber& self, idtype_t type, id_t id, int options) noexcept {
        watcher* made = nullptr;
        try {
            std::scoped_lock const guard(lock_);
            for (watcher& each : all_)
                if (each.type == type && each.id == id && each.options == options) {
                    put(each, self);
                    return true;
                }
            made = &all_.emplace_back(watcher{.type = type, .id = id, .options = options});
            put(*made, self);
        } catch (std::bad_alloc const&) {
            return false;
        }
        bool const started = start(*made);
        if (!started)
            end(*made); // others may have joined meanwhile
        return started;
    }

    void leave(waiting_fiber const& self) noexcept {
        std::scoped_lock const guard(lock_);
        for (watcher& each : all_)
            for (waiting_fiber** link = &each.fibers; *link != nullptr; link = &(*link)->next)
                if (*link == &self) {
                    *link = self.next;
                    return;
                }
    }

    void prepare_fork() noexcept { lock_.lock(); }
    void after_fork_in_parent() noexcept { lock_.unlock(); }
    void after_fork_in_child() noexcept {
        all_.clear();
        lock_.unlock();
    }

private:
    static void put(watcher& one, waiting_fiber& self) noexcept {
        self.next = one.fibers;
        one.fibers = &self;
    }

    bool start(watcher& one) noexcept;
    void end(watcher& one) noexcept;

    spinlock lock_;
    std::list<watcher> all_;
};

watchers& all_watchers() {
    static watchers& one = []() -> watchers& {
        static auto* const made = new watchers; // never destroyed: its threads may outlive main()
        ::pthread_atfork([] { all_watchers().prepare_fork(); }, [] { all_watchers().after_fork_in_parent(); },
                         [] { all_watchers().after_fork_in_child(); });
        return *made;
    }();
    return one;
}

bool watchers::start(watcher& one) noexcept {
    constexpr std::size_t stack = std::size_t{64} * 1024;
    return start_helper(
        [](void* self) -> void* {
            auto& mine = *static_cast<watcher*>(self);
            siginfo_t info{};
            // Whatever it returns, an error included, the fibers are to look.
            sys::wait_id(mine.type, mine.id, &info, mine.options | WNOWAIT, nullptr);
            all_watchers().end(mine);
            return nullptr;
        },
        &one, stack);
}

void watchers::end(watcher& one) noexcept {
    lock_.lock();
    waiting_fiber* each = one.fibers;
    all_.remove_if([&one](watcher const& other) { return &other == &one; });
    while (each != nullptr) {
        waiting_fiber* const next = each->next;
        wake(*each->fiber,
             wake_cause::notified); // `*each` may be gone now; not before, as leave() takes the lock
        each = next;
    }
    lock_.unlock();
}

// Where nothing tells of it: look again soon.
constexpr auto soon = std::chrono::milliseconds(5);

// False with EINTR.
bool park_until(time_point deadline, id_t id) noexcept {
    int const error =
        ended_by(park({"wait", static_cast<std::intptr_t>(id)}, deadline, interruption::unless_restarted));
    if (error != 0)
        errno = error;
    return error == 0;
}

bool wait_by_watcher(idtype_t type, id_t id, int options) noexcept {
    waiting_fiber self{.fiber = current_fiber};
    begin_park(*current_fiber);
    bool const watched = all_watchers().join(self, type, id, options);
    bool const waited = park_until(watched ? never : clock::now() + soon, id);
    all_watchers().leave(self);
    return waited;
}

// By a descriptor that is readable when the process has ended. Not by poll(), which any handler ends.
bool wait_by_pidfd(int pidfd, id_t id) noexcept {
    if (io::wait_until_readable(pidfd, "wait"))
        return true;
    if (errno == EINTR || errno == ECANCELED || errno == EAGAIN) // PIDFD_NONBLOCK
        return false;
    begin_park(*current_fiber); // no memory, or no descriptor for the engine
    return park_until(clock::now() + soon, id);
}

} // namespace

bool wait_for_child(idtype_t type, id_t id, int options) noexcept {
    if (type == P_PIDFD)
        return wait_by_pidfd(static_cast<int>(id), id);
    int const pidfd = type == P_PID && (options & kinds) == WEXITED ? sys::open_process(id) : -1;
    if (pidfd < 0)
        return wait_by_watcher(type, id, options & (kinds | bits_of_who));
    bool const waited = wait_by_pidfd(pidfd, id);
    int const error = errno;
    io::close(pidfd);
    errno = error;
    return waited;
}

} // namespace weft::detail
