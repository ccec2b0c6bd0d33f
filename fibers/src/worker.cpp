#include "worker.hpp"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>

#include <boost/fiber/algo/round_robin.hpp>
#include <boost/fiber/operations.hpp>

#include <weft/detail/exit.hpp>
#include <weft/detail/lock_owner.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/scope.hpp>
#include <weft/detail/task.hpp>
#include <weft/fiber_handle.hpp>

#include "boost_context.hpp"
#include "fiber_end.hpp"
#include "fiber_locals.hpp"
#include "overflow.hpp"
#include "random_order.hpp"
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

// What a former life may have left otherwise, and the new one doesn't set at once. Not what is in use while the fiber rests.
void begin_life(fiber_core& fiber) noexcept {
    fiber.saved_errno = 0;
    fiber.done = false;
    fiber.end = fiber_end::returned;
    fiber.detached = false;
    fiber.stop_requested = false;
    fiber.idle = false;
}

// Whoever waits for it in the child of a fork is told that it has ended.
void vanish(fiber_core& fiber) noexcept {
    // One for all: nobody will free what lies on those stacks.
    static std::exception_ptr const failure = std::make_exception_ptr(
        fiber_cancelled("of the parent", "it is not part of the process that a fork by another fiber made"));
    fiber.state.store(park_state::running, std::memory_order_relaxed); // nobody wakes it
    if (fiber.done)
        return;
    fiber.task->failure = failure;
    fiber.end = fiber_end::cancelled;
    fiber.done = true;
    if (fiber.observer != nullptr)
        fiber.observer->ended(*fiber.observer, fiber);
}

} // namespace

__thread worker* this_worker = nullptr;

worker* calling_worker() noexcept { return this_worker; }

worker& require_worker(char const* function) {
    if (this_worker == nullptr)
        throw std::logic_error(std::string(function) +
                               ": no fibers run on this thread; call it inside weft::run");
    return *this_worker;
}

void post_message(worker& target, inbox_message& message) noexcept { target.post(message); }

bool are_others_gone(std::size_t staying) noexcept { return this_worker->are_others_gone(staying); }

void wait_until_others_gone(std::size_t staying, wait_reason reason) noexcept {
    this_worker->wait_until_others_gone(staying, reason);
}

worker::worker(worker_group& group, std::size_t index)
    : group_(group), index_(index), link_(std::make_shared<worker_link>()), stacks_(stack_pool::create()) {
    this_worker = this; // the engine asks
    try {
        engine_ = group.options.make_engine();
    } catch (...) {
        this_worker = nullptr;
        stacks_->abandon();
        throw;
    }
    link_->target = this;
    main_.home = this;
    main_.timer.expire = time_out;
    main_.stack = thread_stack();
    main_.id = next_id();
    main_.lock_owner = lock_owner();
    set_name(main_, "main");
    adopt_main_context(main_);
    at_exit.arm();
    auto made = std::make_unique<scheduler>(*this, main_);
    if (std::uint64_t const seed = order_seed.load())
        made->randomize(seed + index);
    scheduler_ = made.release();
    boost::fibers::context::active()->get_scheduler()->set_algo(scheduler_);
    current_fiber = &main_;
}

worker::~worker() {
    link_->lock.lock();
    link_->target = nullptr;
    link_->lock.unlock();
    // A waker may still be on its way out of post().
    while (posting_.load(std::memory_order_acquire) != 0)
        sched_yield();
    current_fiber = nullptr;
    // Its end keeps those out who would still post about its events; what they posted is delivered now, to be freed.
    engine_.reset();
    inbox_.deliver();
    this_worker = nullptr;
    timers_.clear(); // those of weft::timer that are left
    part_from_scopes(main_);
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

fiber_core& worker::obtain_fiber(std::size_t stack_size, std::size_t room) {
    std::size_t const usual_size = group_.options.stack_size;
    bool const reusable =
        (stack_size == 0 || stack_size == usual_size) && room <= resting_fibers::largest_room;
    room = resting_fibers::room_for(room);
    if (reusable)
        if (fiber_core* const fiber = resting_.pop(room)) {
            begin_life(*fiber);
            return *fiber;
        }
    std::size_t const large_task =
        room > resting_fibers::largest_room ? room : 0; // beside the stack, not in its place
    stack_memory const stack = allocate_stack((stack_size != 0 ? stack_size : usual_size) + large_task);
    offset_ = (offset_ + offset_step) % offset_limit;
    auto* const fiber =
        new (reserve_top(stack, sizeof(fiber_core) + room, alignof(fiber_core), offset_)) fiber_core;
    fiber->home = this;
    fiber->timer.expire = time_out;
    fiber->stack = stack;
    fiber->room = static_cast<std::uint32_t>(room);
    fiber->reusable = reusable;
    ++contexts_;
    start_context(*fiber);
    return *fiber;
}

void worker::start(fiber_core& fiber) noexcept {
    if (fiber.daemon)
        ++daemons_;
    else if (live_++ == 0 && !stopping_ && !group_.begin_work())
        stopping_ = true; // the order to stop is on its way: a daemon has spawned it meanwhile
    live_fibers_.push_back(fiber);
    make_ready(fiber);
    if (stopping_ && live_ == 0)
        cancel_daemons();
}

void worker::finish(fiber_core& fiber) noexcept {
    end_locals(fiber); // which may wait
    part_from_scopes(fiber);
    fiber.lock.lock();
    fiber.done = true;
    claimed_waiters const joiners = fiber.joiners.claim_all();
    done_callback* const callbacks = std::exchange(fiber.callbacks, nullptr);
    // Not to be looked for when the joiners run, who may take it.
    std::exception_ptr const failure = callbacks != nullptr ? fiber.task->failure : nullptr;
    bool const unobserved = fiber.detached;
    fiber.lock.unlock();
    joiners.deliver();
    if (fiber.observer != nullptr)
        fiber.observer->ended(*fiber.observer, fiber);
    if (callbacks != nullptr)
        run_callbacks(callbacks, fiber, failure);
    if (unobserved)
        report_failure(fiber);
    live_fibers_.erase(fiber);
    release_reference(fiber);
    if (!fiber.idle) {
        held_.push_back(fiber);
        fiber.held = true;
    }
    count_end(fiber);
}

void worker::count_end(fiber_core const& fiber) noexcept {
    if (orphan_ && !fiber.daemon && live_ == 1)
        exit_on_main(EXIT_SUCCESS); // as a process ends with its last thread
    if (fiber.daemon)
        --daemons_;
    else if (--live_ == 0 && !stopping_)
        group_.end_work();
    if (!stopping_ || live_ > 0)
        return;
    if (daemons_ == 0)
        wake(main_, wake_cause::notified);
    else
        cancel_daemons();
}

void worker::rest(fiber_core& fiber) noexcept {
    // Callbacks, and the result's destructor, may have waited, and made scopes.
    part_from_scopes(fiber);
    timers_.remove(fiber.timer);
    if (!fiber.reusable || ending_)
        fiber.context_ends = true;
    if (!fiber.context_ends)
        scheduler_->switch_out();
}

void worker::life_over(fiber_core& fiber) noexcept {
    fiber.idle = true;
    if (fiber.held) {
        held_.erase(fiber);
        fiber.held = false;
    }
    if (!fiber.context_alive)
        stacks_->release(fiber.stack);
    else if (!fiber.reusable || ending_ || !resting_.push(fiber))
        end_context(fiber);
}

// The fiber is at rest, or about to be.
void worker::end_context(fiber_core& fiber) noexcept {
    if (fiber.context_ends)
        return;
    fiber.context_ends = true;
    if (&scheduler_->running() != &fiber)
        make_ready(fiber);
}

void worker::context_ended(fiber_core& fiber) noexcept {
    --contexts_;
    fiber.lock.lock();
    fiber.context_alive = false;
    fiber.lock.unlock();
    if (fiber.held) {
        held_.erase(fiber);
        fiber.held = false;
    }
    if (fiber.idle)
        stacks_->release(fiber.stack);
}

void worker::end_contexts() noexcept {
    ending_ = true;
    for (fiber_core* each = resting_.take_cold(true); each != nullptr;) {
        fiber_core& fiber = *each;
        each = each->next_live;
        end_context(fiber);
    }
    for (fiber_core* each = held_.first(); each != nullptr; each = each->next_live)
        end_context(*each);
}

void worker::serve() noexcept {
    serving_ = true;
    while (!stopping_ || live_ + daemons_ > 0)
        sleep_until({"until every fiber has ended"}, never);
    end_contexts();
    // Ended fibers are freed by the dispatcher.
    while (contexts_ > 0)
        yield();
}

// Again whenever no others are left, and at the end of each: one may have been spawned since.
void worker::cancel_daemons() noexcept {
    for (fiber_core* each = live_fibers_.first(); each != nullptr; each = each->next_live)
        if (each->daemon && !each->done)
            cancel(own_scope_of(*each), "every other fiber has ended");
    if (waits_for_others_ != nullptr)
        wake(*waits_for_others_, wake_cause::notified);
}

void worker::wait_until_others_gone(std::size_t staying, wait_reason reason) noexcept {
    waits_for_others_ = current_fiber;
    while (!are_others_gone(staying))
        sleep_until(reason, never);
    waits_for_others_ = nullptr;
}

void worker::stop() noexcept {
    stopping_ = true;
    cancel_daemons();
    if (live_ + daemons_ == 0)
        wake(main_, wake_cause::notified);
}

time_point worker::trim_memory() noexcept {
    if (!stacks_->wants_trim() && !resting_.wants_trim())
        return never;
    time_point const now = clock::now();
    if (now < next_trim_)
        return next_trim_;
    next_trim_ = now + trim_interval;
    stacks_->trim();
    fiber_core* each = resting_.take_cold(false);
    resting_.for_each([](fiber_core const& fiber) { stack_pool::trim_below(fiber.stack, fiber.frame); });
    if (each == nullptr)
        return never;
    while (each != nullptr) {
        fiber_core& fiber = *each;
        each = each->next_live;
        end_context(fiber);
    }
    return time_point::min(); // they are ready
}

void worker::deliver() noexcept {
    if (interrupts_.load(std::memory_order_relaxed) != 0)
        deliver_interrupts();
    inbox_.deliver();
    if (!timers_.empty())
        timers_.expire(clock::now());
}

void worker::poll() noexcept {
    engine_->poll(time_point::min());
    deliver();
}

void worker::post(inbox_message& message) noexcept {
    // The message may be delivered, and the worker be about to end, before notify().
    posting(*this).post(message);
}

void worker::posting::post(inbox_message& message) const noexcept {
    target_.inbox_.push(message);
    target_.notify();
}

void worker::notify() noexcept {
    if (sleeping_.exchange(sleep_state::notified, std::memory_order_seq_cst) == sleep_state::asleep)
        engine_->notify();
}

// Of those that can be resumed.
template <class Visitor> void worker::for_each_context(Visitor visit) const {
    for (fiber_core* each = live_fibers_.first(); each != nullptr; each = each->next_live)
        visit(*each);
    for (fiber_core* each = held_.first(); each != nullptr; each = each->next_live)
        if (!each->context_ends)
            visit(*each);
    resting_.for_each(visit);
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
    for_each_context([](fiber_core& fiber) { detach_context(fiber); });
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
    for (fiber_core* each = live_fibers_.first(); each != nullptr; each = each->next_live)
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
    contexts_ -= live_ + daemons_ - alive; // the rest has ended, and waits to be freed
    live_ = alive;
    daemons_ = 0;
    waits_for_others_ = nullptr;
    self.daemon = false;
    for (fiber_core* each = live_fibers_.first(); each != nullptr; each = each->next_live)
        if (each != &self) {
            detach_context(*each); // exit() ends Boost's scheduler, which would wait for them
            vanish(*each);
        }
    live_fibers_ = {};
    if (orphan_) {
        live_fibers_.push_back(self);
        main_.state.store(park_state::running, std::memory_order_relaxed); // nobody wakes it
    }
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
