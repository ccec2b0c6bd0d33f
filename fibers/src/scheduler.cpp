#include "scheduler.hpp"

#include <atomic>
#include <cerrno>
#include <cstdlib>

#include <boost/fiber/context.hpp>

#include <weft/detail/lock_owner.hpp>
#include <weft/detail/switch_exchange.hpp>

#include "boost_context.hpp"
#include "sanitizer.hpp"
#include "worker.hpp"

namespace weft::detail {
namespace {

constinit std::atomic<switch_exchange> library_exchange{nullptr};

} // namespace

void exchange_at_switches(switch_exchange exchange) noexcept {
    library_exchange.store(exchange, std::memory_order_relaxed);
}

scheduler::scheduler(worker& home, fiber_core& main) : home_(home), running_(&main), errno_(&errno) {
    set_name(dispatcher_, "dispatcher");
    dispatcher_.home = &home;
    dispatcher_.lock_owner = main.lock_owner;
}

void scheduler::awakened(boost::fibers::context* context) noexcept {
    if (is_dispatcher(*context)) {
        if (dispatcher_.context == nullptr) {
            dispatcher_.context = context;
            dispatcher_.stack = dispatcher_stack(*context);
        }
        return;
    }
    make_ready(core_of(*context, home_));
}

fiber_core* scheduler::choose(fiber_core& leaving) noexcept {
    if (&leaving == &dispatcher_) {
        if (switches_ >= poll_interval) {
            switches_ = 0;
            home_.poll();
        }
        return ready_.empty() ? nullptr : &ready_.pop();
    }
    if (ready_.empty() || ++switches_ >= poll_interval)
        return &dispatcher_;
    return &ready_.pop();
}

void scheduler::swap_state(fiber_core& from, fiber_core& to) noexcept {
    from.saved_errno = *errno_;
    *errno_ = to.saved_errno;
    exceptions_.swap(from.saved_exceptions, to.saved_exceptions);
    if (auto* const exchange = library_exchange.load(std::memory_order_relaxed)) [[unlikely]]
        exchange(from.saved_library, to.saved_library);
    to.calls_since_switch = 0;
    running_ = &to;
    current_fiber = &to == &dispatcher_ ? nullptr : &to;
    current_lock_owner = to.lock_owner;
    start_switch(from, to);
}

boost::fibers::context* scheduler::pick_next() noexcept {
    if (retired_) {
        if (!ready_.empty())
            return ready_.pop().context;
        dispatcher_taken_ = true;
        return dispatcher_.context;
    }
    fiber_core& leaving = *running_;
    finish_switch(leaving);
    fiber_core* const next = choose(leaving);
    if (next == nullptr)
        return nullptr; // on the dispatcher alone: it will call suspend_until()
    if (next != &leaving)
        swap_state(leaving, *next);
    return next->context;
}

bool scheduler::has_ready_fibers() const noexcept {
    // Asked by set_algo(), which moves what is ready to the next algorithm: that includes the dispatcher.
    return !ready_.empty() || (retired_ && !dispatcher_taken_);
}

void scheduler::suspend_until(time_point const& deadline) noexcept {
    switches_ = 0;
    home_.wait_until(deadline);
}

void scheduler::notify() noexcept { home_.notify(); }

void scheduler::switch_out() noexcept {
    fiber_core& leaving = *running_;
    leaving.frame = static_cast<char const*>(__builtin_frame_address(0));
    boost::fibers::context* const next = pick_next();
    if (next != leaving.context)
        next->resume();
    finish_switch(leaving);
    if (exiting_) [[unlikely]]
        std::exit(exit_status_);
}

void scheduler::exit_on_main(fiber_core& main, int status) noexcept {
    ready_.clear();
    if (running_ != &main) {
        exiting_ = true;
        exit_status_ = status;
        make_ready(main);
        switches_ = 0; // no poll in between: it could make others ready
        switch_out();
    }
    std::exit(status);
}

} // namespace weft::detail
