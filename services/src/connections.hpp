// connections: the open connections of one service, on all workers: their number, its limit, and their end.
//
// An accept loop starts each connection's handler on a fiber of its own. At the limit, start() waits: the loop holds on to
// the connection that it has, and accepts no further one; the rest wait in the kernel's backlog. At the end, drain() waits
// for the handlers, and cuts off those that take too long.
//
// Threads: any worker's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>

#include <weft/clock.hpp>
#include <weft/semaphore.hpp>

namespace weft::services {

class connections;

// One of them, as its handler sees it.
class connection {
public:
    connection(connections& all, int fd) noexcept : all_(all), fd_(fd) {}

    [[nodiscard]] int fd() const noexcept { return fd_; }

    // Whether the service is about to end: this connection should, too, once what it does is done.
    [[nodiscard]] bool draining() const noexcept;

    // Between two requests, when nothing is lost by closing. False if the handler should close now.
    bool begin_idle() noexcept;
    void end_idle() noexcept;

private:
    friend class connections;

    connections& all_;
    int fd_;
    bool idle_ = false; // guarded by all_.mutex_
};

class connections {
public:
    using handler = std::function<void(connection& self)>;

    // `name` begins the names of the handlers' fibers.
    connections(std::string name, std::size_t limit);

    // Waits for room, then runs `serve` on a new fiber of this worker. It owns `fd`, and closes it. An exception that leaves
    // it is logged. While draining, or if no fiber can be made, `fd` is closed at once.
    void start(int fd, handler serve);

    // Waits until no handler is left, or `limit`. Idle connections are closed at once; those that are left at `limit`
    // are shut down, and waited for. Returns the number of those that had to be.
    std::size_t drain(time_point limit);

    [[nodiscard]] std::size_t count() const noexcept;
    [[nodiscard]] bool draining() const noexcept { return draining_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::string const& name() const noexcept { return name_; }

private:
    friend class connection;

    void run(int fd, handler const& serve);
    void leave(std::list<connection>::iterator place) noexcept;

    std::string const name_;
    semaphore room_;
    semaphore empty_{0}; // released once: draining, and none left
    std::atomic<std::uint64_t> started_{0};
    std::atomic<bool> draining_{false};
    mutable std::mutex mutex_; // never held across a switch
    std::list<connection> open_;
};

} // namespace weft::services
