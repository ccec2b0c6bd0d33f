// worker: one OS thread that runs fibers. It owns their scheduler, timers, stacks and engine, and an inbox through which
// other threads reach it.
//
// Threads: what is not marked otherwise is the worker's own thread's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <weft/detail/fiber_core.hpp>
#include <weft/engine.hpp>

#include "fiber_list.hpp"
#include "inbox.hpp"
#include "resting_fibers.hpp"
#include "scheduler.hpp"
#include "stack_pool.hpp"
#include "timer_queue.hpp"

namespace weft::detail {

class worker_group;

// What others know a worker by; null `target` once it has ended.
struct worker_link {
    spinlock lock; // guards the rest
    worker* target;
};

class worker {
public:
    // Makes the calling thread a worker: its own context becomes the fiber `main`, which is running.
    worker(worker_group& group, std::size_t index);

    // The thread is an ordinary one again. No fiber is left by then, and nobody on another thread will address the
    // worker any more.
    ~worker();

    worker(worker const&) = delete;
    worker& operator=(worker const&) = delete;

    // On the main fiber: runs the others until the group stops.
    void serve() noexcept;

    [[nodiscard]] worker_group& group() const noexcept { return group_; }
    [[nodiscard]] std::size_t index() const noexcept { return index_; }
    [[nodiscard]] std::shared_ptr<worker_link> const& link() const noexcept { return link_; }
    [[nodiscard]] std::uint64_t next_id() noexcept;

    // -- the life of a fiber --
    [[nodiscard]] bool owns(stack_pool const& pool) const noexcept { return stacks_ == &pool; }
    // A fiber whose life begins, with `room` bytes for a task; stack_size 0: the usual. Throws std::system_error without memory.
    fiber_core& obtain_fiber(std::size_t stack_size, std::size_t room);
    void start(fiber_core& fiber) noexcept;
    void finish(fiber_core& fiber) noexcept;        // on the fiber: its function has returned
    void rest(fiber_core& fiber) noexcept;          // on the fiber: until its next life, or it is to end
    void life_over(fiber_core& fiber) noexcept;     // nobody refers to it any more
    void context_ended(fiber_core& fiber) noexcept; // on the dispatcher: its context is gone

    // -- switching --
    [[nodiscard]] fiber_core const& running() const noexcept {
        return scheduler_->running();
    } // or the dispatcher
    void make_ready(fiber_core& fiber) noexcept { scheduler_->make_ready(fiber); }
    void switch_out() noexcept { scheduler_->switch_out(); }

    // A number drawn by the seed of weft::testing::random_order; 0: there is none.
    std::uint64_t draw() noexcept { return scheduler_->draw(); }
    void arm_timer(timer_node& node) { timers_.arm(node); }
    void remove_timer(timer_node& node) noexcept { timers_.remove(node); }

    // -- on the dispatcher, for the scheduler --
    void poll() noexcept;
    void wait_until(time_point deadline) noexcept;

    // -- any thread, while the group runs --
    void post(inbox_message& message) noexcept;

    // Keeps the worker from ending while a message is under way to it.
    class posting {
    public:
        explicit posting(worker& target) noexcept : target_(target) {
            target.posting_.fetch_add(1, std::memory_order_relaxed);
        }
        posting(posting const&) = delete;
        posting& operator=(posting const&) = delete;
        ~posting() { target_.posting_.fetch_sub(1, std::memory_order_release); }

        void post(inbox_message& message) const noexcept;

    private:
        worker& target_;
    };
    void notify() noexcept;

    // On the worker's own thread: nothing is left but daemons. serve() returns when those have ended, too.
    void stop() noexcept;

    // On a fiber: see last_fibers.hpp.
    [[nodiscard]] bool are_others_gone(std::size_t staying) const noexcept {
        return stopping_ && live_ + daemons_ <= staying;
    }
    void wait_until_others_gone(std::size_t staying, wait_reason reason) noexcept;

    // On the worker's own thread: every fiber, main included, as there is a dead end.
    void cancel_fibers() noexcept;

    // On the worker's own thread, in a signal handler; see interrupt.hpp.
    void interrupt(bool restarts) noexcept;

    // The process ends, by exit() on the main fiber: the other fibers are left where they are.
    void abandon_fibers() noexcept;
    [[nodiscard]] bool is_main(fiber_core const& fiber) const noexcept { return &fiber == &main_; }
    [[noreturn]] void exit_on_main(int status) noexcept { scheduler_->exit_on_main(main_, status); }

    // In the child of a fork by one of this worker's fibers, which goes on alone: the other fibers are gone.
    void survive_fork() noexcept;

private:
    static constexpr clock::duration first_suspicion = std::chrono::milliseconds(50);
    static constexpr clock::duration last_suspicion = std::chrono::seconds(2);

    // Whether the thread sleeps in the engine, so that a notification costs a system call only then.
    enum class sleep_state : std::uint8_t { awake, asleep, notified };

    // Of the handlers that ran since the dispatcher last looked.
    enum interrupt_flag : std::uint8_t {
        handler_ran = 1U << 0,
        without_restart = 1U << 1,
        while_idle = 1U << 2, // no fiber was running
    };

    void deliver() noexcept;
    void wait_virtually() noexcept;
    [[nodiscard]] bool waits_for_fibers_alone() const noexcept;
    void look_for_dead_end() noexcept;
    [[nodiscard]] bool everyone_is_idle() const noexcept;
    [[nodiscard]] std::vector<fiber_core const*> find_dead_end() const;
    void add_waiting(std::vector<fiber_core const*>& all) const;
    void deliver_interrupts() noexcept;
    [[nodiscard]] fiber_core* choose_interrupted(std::uint8_t flags) noexcept;
    stack_memory allocate_stack(std::size_t size);
    void count_end(fiber_core const& fiber) noexcept;
    void end_context(fiber_core& fiber) noexcept;
    void end_contexts() noexcept;
    void cancel_daemons() noexcept;
    template <class Visitor> void for_each_context(Visitor visit) const;
    [[nodiscard]] time_point trim_memory() noexcept;

    worker_group& group_;
    std::size_t const index_;
    std::shared_ptr<worker_link> const link_;
    std::uint64_t ids_ = 0;
    std::size_t live_ = 0;    // fibers whose function has not returned, without main and daemons
    std::size_t daemons_ = 0; // the same of daemons
    fiber_list live_fibers_;  // all those
    fiber_list held_;         // ended ones that still have a context, and are referred to
    resting_fibers resting_;
    std::size_t contexts_ = 0; // fibers whose context is not gone, without main
    std::size_t offset_ = 0;
    bool serving_ = false; // main waits for the others
    bool ending_ = false;  // contexts are not kept any more
    bool stopping_ = false;
    fiber_core* waits_for_others_ = nullptr; // to be gone, and looks for itself
    bool guards_stacks_ = false;
    bool orphan_ = false; // a forked process that main is not part of
    time_point next_trim_ = time_point::min();
    fiber_core main_;
    stack_pool* stacks_;
    timer_queue timers_;
    std::unique_ptr<engine> engine_;
    scheduler* scheduler_ = nullptr; // Boost's scheduler of this thread holds it

    std::atomic<std::uint8_t> interrupts_{0}; // its signal handlers, too

    // While it sleeps, for those who look whether all do.
    clock::duration suspicion_ = first_suspicion; // to sleep so long before looking for a dead end
    std::atomic<bool> only_fibers_{false};        // each fiber waits for another; no timer
    bool idle_ = false;                           // under group_.idle_mutex; on a virtual clock
    time_point idle_until_ = never;               // the same

    inbox inbox_;                                           // any thread
    std::atomic<sleep_state> sleeping_{sleep_state::awake}; // any thread
    std::atomic<std::uint32_t> posting_{0};                 // any thread: those inside post()
};

// The calling thread's worker. std::logic_error if it is none, in the name of `function`.
worker& require_worker(char const* function);

} // namespace weft::detail
