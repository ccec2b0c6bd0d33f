// scheduler: weft's scheduling algorithm, the heart that Boost.Fiber runs on.
//
// Always true:
//   1. Every switch of a worker, ours or Boost's, takes its next fiber from pick_next(), and pick_next() is the only
//      place where per-fiber state (errno, exception globals, current_fiber, another library's) is swapped.
//   2. The dispatcher (Boost's own context, which frees ended fibers, and waits) is never in the ready queue: it is
//      what runs when the queue is empty, and every poll_interval switches, so that fibers that are always ready
//      starve neither I/O nor timers.
//   3. I/O is polled on the dispatcher alone. Polled on a suspending fiber's stack, it could make that very fiber ready
//      before it can be resumed.
//
// Threads: one worker's, but for notify().
#pragma once

#include <cstdint>

#include <boost/fiber/algo/algorithm.hpp>

#include <weft/detail/fiber_core.hpp>

#include "exception_globals.hpp"
#include "ready_queue.hpp"

namespace weft::detail {

class worker;

class scheduler final : public boost::fibers::algo::algorithm {
public:
    // `main` is the core of the thread's own context, which is running.
    scheduler(worker& home, fiber_core& main);

    void awakened(boost::fibers::context* context) noexcept override;
    boost::fibers::context* pick_next() noexcept override;
    [[nodiscard]] bool has_ready_fibers() const noexcept override;
    void suspend_until(time_point const& deadline) noexcept override;
    void notify() noexcept override;

    void make_ready(fiber_core& fiber) noexcept { ready_.push(fiber); }

    [[nodiscard]] fiber_core const& running() const noexcept { return *running_; }

    // Those that are ready are gone.
    void forget_ready() noexcept { ready_.clear(); }

    // For tests: see ready_queue.
    void randomize(std::uint64_t seed) noexcept { ready_.randomize(seed); }
    std::uint64_t draw() noexcept { return ready_.draw(); }

    // In the child of a fork, whose thread has another id.
    void survive_fork(int lock_owner) noexcept {
        forget_ready();
        dispatcher_.lock_owner = lock_owner;
    }

    // Leaves the running fiber, which is parked or ready, for another one.
    void switch_out() noexcept;

    // Switches to the main fiber, for it to end the process.
    [[noreturn]] void exit_on_main(fiber_core& main, int status) noexcept;

    // The worker ends: what Boost asks for from now on is handed over without any swap.
    void retire() noexcept { retired_ = true; }

private:
    static constexpr std::uint32_t poll_interval = 64;

    [[nodiscard]] fiber_core* choose(fiber_core& leaving) noexcept;
    void swap_state(fiber_core& from, fiber_core& to) noexcept;

    worker& home_;
    fiber_core* running_;
    ready_queue ready_;
    std::uint32_t switches_ = 0; // since the last poll
    bool retired_ = false;
    bool exiting_ = false;
    int exit_status_ = 0;           // valid if exiting_
    bool dispatcher_taken_ = false; // while retired: handed over
    int* const errno_;              // this thread's
    exception_globals const exceptions_;
    fiber_core dispatcher_;
};

} // namespace weft::detail
