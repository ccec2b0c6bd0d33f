// epoll_engine: the engine that waits for file descriptors, like Go's netpoller.
//
// One persistent edge-triggered registration per descriptor, generation and engine, made when a call first has to wait.
// An edge wakes whoever waits on the descriptor for that kind of event, in FIFO order; each of them then tries its call
// again. The registration carries the generation: an event of an earlier one is ignored.
//
// The drained state of a watch, the short-read rule: `drained` is set by a read that got fewer bytes than it asked for,
// on a TCP socket, and cleared by the next readable edge. While it is set, a read need not be tried.
// `eager` keeps it clear: once the end of the stream has shown itself, no further edge will. So does, once, `withheld`: the read got less
// because a test's faults asked for less.
//
// Threads: a watch belongs to the engine's worker. end_generation() is for any.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <weft/clock.hpp>
#include <weft/detail/fiber_core.hpp>
#include <weft/engine.hpp>

#include "descriptor.hpp"

namespace weft::detail {

class epoll_engine;

// One that waits on a descriptor; on its fiber's stack.
struct io_waiter {
    io_waiter* next = nullptr;
    io_waiter* previous = nullptr;
    fiber_core* fiber = nullptr;
    std::uint32_t generation = 0;
    std::uint32_t events = 0; // EPOLLIN, EPOLLOUT, EPOLLPRI
    bool linked = false;
};

// A descriptor as one engine sees it.
struct watch {
    io_waiter* first = nullptr;
    io_waiter* last = nullptr;
    std::uint32_t registered = 0; // the generation that epoll knows; 0: none
    bool drained = false;
    bool eager = false;    // short reads don't mean drained: a hang-up or urgent data was seen
    bool withheld = false; // nor does the present one

    void link(io_waiter& w) noexcept {
        w.previous = last;
        w.next = nullptr;
        (last != nullptr ? last->next : first) = &w;
        last = &w;
        w.linked = true;
    }
    void unlink(io_waiter& w) noexcept {
        (w.previous != nullptr ? w.previous->next : first) = w.next;
        (w.next != nullptr ? w.next->previous : last) = w.previous;
        w.linked = false;
    }
    void wake(std::uint32_t events) noexcept;
    void wake_ended(std::uint32_t generation) noexcept;
};

extern __thread epoll_engine* this_engine __attribute__((tls_model("initial-exec")));

class epoll_engine final : public engine {
public:
    // When to open the engine's two descriptors: a program that was not written for weft should not find them before it
    // needs them.
    enum class opening : std::uint8_t { now, when_needed };

    // Throws std::system_error if the system gives no epoll descriptor.
    explicit epoll_engine(opening when = opening::now);
    ~epoll_engine() override;

    void poll(time_point deadline) noexcept override;
    void notify() noexcept override;
    void survive_fork() noexcept override;

    // The calling worker's; null if it has another engine, or on another thread.
    static epoll_engine* current() noexcept { return this_engine; }

    // The watch of `fd` if there has ever been one; valid as long as the engine.
    [[nodiscard]] watch* known_watch(int fd) const noexcept {
        auto const number = static_cast<std::size_t>(fd);
        std::size_t const index = number / chunk_size;
        if (index >= chunks_.size() || chunks_[index] == nullptr)
            return nullptr;
        return &chunks_[index]->watches[number % chunk_size];
    }

    // As above; makes the watch if there is none. Null, with ENOMEM, without memory for it.
    watch* make_watch(int fd) noexcept;
    watch* find_watch(int fd) noexcept {
        watch* const known = known_watch(fd);
        return known != nullptr ? known : make_watch(fd);
    }

    // Makes sure that edges of `fd` are seen from now on; whatever is ready now counts as one. `trusted`: what is known
    // of the descriptor can't be stale. False with errno: EPERM for a file that is always ready, EBADF, ENOMEM, ENOSPC.
    bool arm(int fd, descriptor& entry, watch& seen, std::uint32_t generation, bool trusted) noexcept {
        return (trusted && seen.registered == generation) || add(fd, entry, seen, generation);
    }

    // Whatever is ready now counts as an edge once more, if edges of `fd` are seen: after a call that was kept from taking it. errno is
    // kept.
    void repeat_edge(int fd) noexcept;

    // Wakes those who wait on an ended generation with wake_cause::closed, on each of `engines` (descriptor::engines).
    // With `remove`, takes the registration out of them, as its file may live on.
    static void end_generation(int fd, std::uint32_t generation, std::uint64_t engines, bool remove) noexcept;

    // The process's use of them ends; epoll's own state, which a fork shares, is not touched.
    void close_descriptors() noexcept;

private:
    static constexpr std::size_t events_at_once = 256;
    static constexpr clock::duration shortest_check_interval = std::chrono::milliseconds(500);
    static constexpr clock::duration longest_check_interval = std::chrono::seconds(8);
    static constexpr unsigned polls_between_checks = 256; // when there is always something to do
    static constexpr std::size_t chunk_size = 256;

    struct chunk {
        std::array<watch, chunk_size> watches;
    };

    struct end_message;

    [[nodiscard]] int open_descriptors() noexcept;

    bool add(int fd, descriptor& entry, watch& seen, std::uint32_t generation) noexcept;
    int wait(time_point deadline) noexcept;
    void wait_without_descriptors(time_point deadline) noexcept;
    [[nodiscard]] io_waiter const* first_waiter(epoll_event const& event) noexcept;
    void dispatch(epoll_event const& event) noexcept;
    void check_registrations() noexcept;
    void wake_ended(int fd, std::uint32_t generation) noexcept;
    [[nodiscard]] std::uint64_t bit() const noexcept;

    int epoll_ = -1;                // -1: not opened yet
    std::atomic<int> notifier_{-1}; // any thread; an eventfd
    std::size_t slot_ = 0;
    worker* home_;
    std::vector<std::unique_ptr<chunk>> chunks_;
    std::array<epoll_event, events_at_once> events_;
    time_point next_check_ = never; // never: nothing is registered yet
    clock::duration check_interval_ = shortest_check_interval;
    std::size_t check_cursor_ = 0;
    unsigned polls_since_check_ = 0;
};

} // namespace weft::detail
