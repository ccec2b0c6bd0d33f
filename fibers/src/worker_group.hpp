// worker_group: the workers of one weft::run, and when they are done.
//
// The group is busy while `busy` > 0. It counts: 1 for main until it has returned, 1 for each worker that has live
// fibers, 1 for each post() that has not become a fiber yet. Whoever counts it to zero stops the group: since only
// what is counted can make new work, none can appear afterwards.
//
// Threads: `options` and `workers` don't change while fibers run; the rest is for any.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <weft/run.hpp>

namespace weft::detail {

class worker;

class worker_group {
public:
    explicit worker_group(run_options run) : options(std::move(run)), workers(options.workers) {}

    // False if nothing is counted any more: the group is stopping.
    [[nodiscard]] bool begin_work() noexcept {
        std::size_t busy = busy_.load(std::memory_order_relaxed);
        while (busy != 0)
            if (busy_.compare_exchange_weak(busy, busy + 1, std::memory_order_relaxed))
                return true;
        return false;
    }
    void end_work() noexcept {
        if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            stop();
    }

    // In the child of a fork by a fiber of `one`: the others are gone.
    void survive_fork(worker& one) noexcept;
    [[nodiscard]] bool forked() const noexcept { return forked_; }

    // All workers have nothing to do, and no fiber can ever run again: cancels them all, once. If that has been done before, ends the
    // process.
    void end_dead(std::string report) noexcept;
    // What was reported; null if nothing.
    [[nodiscard]] std::string const* dead_end() const noexcept { return dead_end_ ? &*dead_end_ : nullptr; }

    run_options const options;
    std::vector<worker*> workers;
    // For workers that have nothing to do, while they look at each other; held on no fiber.
    std::mutex idle_mutex;

private:
    void stop() noexcept;

    std::optional<std::string> dead_end_; // under idle_mutex, while fibers run

    std::atomic<std::size_t> busy_{1};
    bool forked_ = false;
};

} // namespace weft::detail
