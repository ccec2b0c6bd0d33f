#include "worker.hpp"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <utility>

#include <boost/fiber/algo/round_robin.hpp>
#include <boost/fiber/operations.hpp>

#include <weft/detail/exit.hpp>
#include <weft/detail/lock_owner.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/scope.hpp>

#include "boost_context.hpp"
#include "overflow.hpp"
#include "worker_group.hpp"

namespace weft::detail {
namespace {

// The first cache lines of every stack lie at one offset in a page, and a page has few places in the L1 cache: spread
// them. Steps of 256 bytes, because Boost aligns what it puts below to that.
constexpr std::size_t offset_step = 256;
constexpr std::size_t offset_limit = 1024;

constexpr auto trim_interval = std::chrono::seconds(1);

stack_memory thread_stack() noexcept {
    stack_memory stack;
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return stack;
    void* low = nullptr;
    if (pthread_attr_getstack(&attributes, &low, &stack.size) == 0)
        stack.low = static_cast<char*>(low);
    pthread_attr_destroy(&attributes);
    return stack;
}

// Ends before Boost's own variables of the thread, as it is made after them. exit() ends both, while fibers may still wait.
struct exit_guard {
    exit_guard() noexcept = default;
    exit_guard(exit_guard const&) = delete;
    exit_guard& operator=(exit_guard const&) = delete;
    ~exit_guard() {
        if (this_worker != nullptr)
            this_worker->abandon_fibers();
    }
    void arm() const noexcept {}
};

thread_local exit_guard const at_exit;

} // namespace

__thread worker* this_worker = nullptr;

worker* calling_worker() noexcept { return this_worker; }

void post_message(worker& target, inbox_message& message) noexcept { target.post(message); }

worker::worker(worker_group& group, std::size_t index)
    : group_(group), index_(index), stacks_(stack_pool::create()) {
    this_worker = this; // the engine asks
    try {
        engine_ = group.options.make_engine();
    } catch (...) {
        this_worker = nullptr;
        stacks_->abandon();
        throw;
    }
    main_.home = this;
    main_.stack = thread_stack();
    main_.id = next_id();
    main_.lock_owner = lock_owner();
    set_name(main_, "main");
    adopt_main_context(main_);
    at_exit.arm();
    auto made = std::make_unique<scheduler>(*this, main_);
    scheduler_ = made.release();
    boost::fibers::context::active()->get_scheduler()->set_algo(scheduler_);
    current_fiber = &main_;
}

worker::~worker() {
    // A waker may still be on its way out of post().
    while (posting_.load(std::memory_order_acquire) != 0)
        sched_yield();
    current_fiber = nullptr;
    // Its end keeps those out who would still post about its events; what they posted is delivered now, to be freed.
    engine_.reset();
    inbox_.deliver();
    this_worker = nullptr;
    timers_.remove(main_);
    scheduler_->retire();
    boost::fibers::use_scheduling_algorithm<boost::fibers::algo::round_robin>();
    release_main_context(main_);
    remove_overflow_stack();
    stacks_->abandon();
}

std::uint64_t worker::next_id() noexcept {
    static std::atomic<std::uint64_t> ids{0};
    // Numbers are drawn in lots, so that workers don't meet at each spawn.
    constexpr std::uint64_t lot = 1024;
    if (ids_ % lot == 0)
        ids_ = ids.fetch_add(lot, std::memory_order_relaxed);
    return ++ids_;
}

// Stacks are guarded from the first one on; a thread without fibers beside main keeps its signal handling as it is.
stack_memory worker::allocate_stack(std::size_t size) {
    if (!guards_stacks_) {
        install_overflow_handler();
        install_overflow_stack();
        guards_stacks_ = true;
    }
    return stacks_->allocate(size);
}

std::size_t worker::next_stack_offset() noexcept { return offset_ = (offset_ + offset_step) % offset_limit; }

void worker::link_live(fiber_core& fiber) noexcept {
    fiber.previous_live = last_live_;
    (last_live_ != nullptr ? last_live_->next_live : first_live_) = &fiber;
    last_live_ = &fiber;
}

void worker::unlink_live(fiber_core& fiber) noexcept {
    (fiber.previous_live != nullptr ? fiber.previous_live->next_live : first_live_) = fiber.next_live;
    (fiber.next_live != nullptr ? fiber.next_live->previous_live : last_live_) = fiber.previous_live;
}

void worker::start(fiber_core& fiber) noexcept {
    if (live_++ == 0)
        group_.begin_work();
    link_live(fiber);
    ++contexts_;
    start_context(fiber);
}

void worker::finish(fiber_core& fiber) noexcept {
    timers_.remove(fiber);
    part_from_scope(fiber);
    fiber.lock.lock();
    fiber.done = true;
    bool const unobserved = fiber.failed && fiber.detached;
    claimed_waiters const joiners = fiber.joiners.claim(std::numeric_limits<std::ptrdiff_t>::max());
    fiber.lock.unlock();
    joiners.deliver();
    if (unobserved)
        fiber.report_failure(fiber);
    if (orphan_ && live_ == 1)
        exit_on_main(EXIT_SUCCESS); // as a process ends with its last thread
    unlink_live(fiber);
    if (--live_ == 0)
        group_.end_work();
}

void worker::context_ended(fiber_core& fiber) noexcept {
    --contexts_;
    release_reference(fiber);
}

void worker::serve() noexcept {
    begin_park(main_);
    if (!stopping_ || !cancel_park(main_))
        park({.operation = "until every fiber has ended"}, never);
    // Ended fibers are freed by the dispatcher.
    while (contexts_ > 0)
        yield();
}

void worker::stop() noexcept {
    stopping_ = true;
    wake(main_, wake_cause::notified);
}

time_point worker::trim_stacks() noexcept {
    if (!stacks_->wants_trim())
        return never;
    time_point const now = clock::now();
    if (now < next_trim_)
        return next_trim_;
    stacks_->trim();
    next_trim_ = now + trim_interval;
    return never;
}

void worker::deliver() noexcept {
    if (interrupts_.load(std::memory_order_relaxed) != 0)
        deliver_interrupts();
    inbox_.deliver();
    if (timers_.next() != never)
        timers_.expire(clock::now());
}

void worker::poll() noexcept {
    engine_->poll(time_point::min());
    deliver();
}

// The sleep and notify() agree by one exchange each on `sleeping_`: either the notifier finds us asleep, and calls the
// engine, or we find its notification and don't sleep.
void worker::wait_until(time_point deadline) noexcept {
    auto expected = sleep_state::awake;
    if (!sleeping_.compare_exchange_strong(expected, sleep_state::asleep, std::memory_order_seq_cst))
        deadline = time_point::min();
    else
        deadline = std::min({deadline, timers_.next(), trim_stacks()});
    engine_->poll(deadline);
    sleeping_.exchange(sleep_state::awake, std::memory_order_seq_cst);
    deliver();
}

void worker::post(inbox_message& message) noexcept {
    // Keeps the worker from ending before the last line, though the message may be delivered before it.
    posting_.fetch_add(1, std::memory_order_relaxed);
    inbox_.push(message);
    notify();
    posting_.fetch_sub(1, std::memory_order_release);
}

void worker::notify() noexcept {
    if (sleeping_.exchange(sleep_state::notified, std::memory_order_seq_cst) == sleep_state::asleep)
        engine_->notify();
}

void worker::abandon_fibers() noexcept {
    if (&scheduler_->running() != &main_) {
        // Boost.Fiber could not be ended here. exit() itself comes to the main fiber first, where it is patched.
        std::fputs(
            "weft: exit() was called on a fiber other than main, not through weft::patch: ending the process without "
            "running its exit handlers\n",
            stderr);
        std::fflush(nullptr);
        ::_exit(EXIT_FAILURE);
    }
    for (fiber_core* each = first_live_; each != nullptr; each = each->next_live)
        detach_context(*each);
    current_fiber = nullptr;
    this_worker = nullptr;
    scheduler_->forget_ready();
    scheduler_->retire();
}

bool on_spawned_fiber() noexcept { return current_fiber != nullptr && !this_worker->is_main(*current_fiber); }

void exit_on_main(int status) noexcept { this_worker->exit_on_main(status); }

void worker::interrupt(bool restarts) noexcept {
    fiber_core const* const running = current_fiber;
    bool const computes =
        running != nullptr && running->state.load(std::memory_order_relaxed) == park_state::running;
    if (computes && running == &main_)
        return;
    unsigned flags = handler_ran;
    if (!restarts)
        flags |= without_restart;
    if (!computes)
        flags |= while_idle;
    interrupts_.fetch_or(static_cast<std::uint8_t>(flags), std::memory_order_relaxed);
    notify();
}

fiber_core* worker::choose_interrupted(std::uint8_t flags) noexcept {
    auto const least = (flags & without_restart) != 0 ? interruption::unless_restarted : interruption::always;
    auto const waits = [least](fiber_core const& fiber) {
        return fiber.state.load(std::memory_order_relaxed) == park_state::parked &&
               fiber.interruptible >= least;
    };
    if (!orphan_ && waits(main_))
        return &main_;
    if ((flags & while_idle) == 0)
        return nullptr;
    for (fiber_core* each = first_live_; each != nullptr; each = each->next_live)
        if (waits(*each))
            return each;
    return nullptr;
}

void worker::deliver_interrupts() noexcept {
    std::uint8_t const flags = interrupts_.exchange(0, std::memory_order_relaxed);
    if (fiber_core* const fiber = choose_interrupted(flags))
        wake(*fiber, wake_cause::interrupted);
}

// What the other fibers held, their stacks included, is left as it is: as a thread's memory is, after a fork by another.
void worker::survive_fork() noexcept {
    fiber_core& self = *current_fiber;
    orphan_ = &self != &main_;
    std::size_t const alive = orphan_ ? 1 : 0;
    contexts_ -= live_ - alive; // the rest has ended, and waits to be freed
    live_ = alive;
    for (fiber_core* each = first_live_; each != nullptr; each = each->next_live)
        if (each != &self)
            detach_context(*each); // exit() ends Boost's scheduler, which would wait for them
    self.next_live = self.previous_live = nullptr;
    first_live_ = last_live_ = orphan_ ? &self : nullptr;
    self.timer_due = never;
    keep_alone_in_scopes(self);
    timers_.clear();
    current_lock_owner = 0;
    main_.lock_owner = lock_owner();
    current_lock_owner = self.lock_owner;
    scheduler_->survive_fork(main_.lock_owner);
    inbox_.clear();
    interrupts_.store(0, std::memory_order_relaxed);
    sleeping_.store(sleep_state::awake, std::memory_order_relaxed);
    posting_.store(0, std::memory_order_relaxed);
    group_.survive_fork(*this);
    engine_->survive_fork();
}

} // namespace weft::detail
