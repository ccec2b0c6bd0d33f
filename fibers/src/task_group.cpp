#include <mutex>

#include <weft/detail/misuse.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/task_group.hpp>

#include "fiber_end.hpp"
#include "unhandled.hpp"
#include "worker.hpp"

namespace weft {

namespace detail {

void start_state::end() noexcept {
    lock.lock();
    over = true;
    claimed_waiters const starter = waiting.claim(1);
    lock.unlock();
    starter.deliver();
}

bool start_state::wait(cancellation cancels) noexcept {
    std::unique_lock guard(lock);
    return over ||
           waiting.wait(guard, {"start of a task", by_fibers}, never, cancels) == wake_cause::notified;
}

void throw_reported_twice() {
    throw std::logic_error("weft::readiness::ready: called again; task_group::start has returned already");
}

std::exception_ptr ended_unready() {
    return std::make_exception_ptr(
        std::logic_error(std::string("weft::task_group::start: fiber \"") + current_fiber->name +
                         "\" returned without calling ready() on the readiness that it was given"));
}

} // namespace detail

using detail::current_fiber;

task_group::task_group(failure_policy policy)
    : owner_(current_fiber), policy_(policy), unwinding_(std::uncaught_exceptions()) {
    if (owner_ == nullptr)
        throw std::logic_error(
            "weft::task_group: made on a thread that runs no fiber; make it inside weft::run");
    ended = [](detail::end_observer& self, detail::fiber_core& child) noexcept {
        static_cast<task_group&>(self).child_ended(child);
    };
    // Not in what its maker was spawned into, but in its own: who cancels the maker cancels the group.
    bool const bare = owner_->scope == owner_->base_scope;
    detail::put_inside(scope_, bare ? detail::own_scope_of(*owner_) : *owner_->scope);
}

task_group::~task_group() {
    if (owner_ != current_fiber)
        detail::fail_misuse("weft::task_group: left by another fiber than the one that made it");
    if (live_ > 0 && std::uncaught_exceptions() > unwinding_)
        detail::cancel(scope_, "the block of the task group was left by an exception");
    wait_for_all(detail::cancellation::ignored);
    for (exception_group::failure const& each : failures_)
        detail::report_unhandled(each.fiber, each.exception);
    detail::take_out(scope_);
}

void task_group::require_own_worker() const {
    if (owner_->home != detail::this_worker)
        throw std::logic_error(
            "weft::task_group: used on another worker or thread than the group's; weft::post a "
            "function there that uses it");
}

void task_group::add_failure(char const* fiber, std::exception_ptr failure) noexcept {
    failures_.push_back({.fiber = fiber, .exception = std::move(failure)});
    if (policy_ == failure_policy::cancel_siblings)
        detail::cancel(scope_, std::string("\"") + fiber + "\" of the same task group failed: " +
                                   detail::describe(failures_.back().exception));
}

void task_group::child_ended(detail::fiber_core& child) noexcept {
    if (child.end == detail::fiber_end::failed) {
        if (policy_ == failure_policy::report)
            detail::report_failure(child);
        else
            add_failure(child.name, child.task->failure);
    }
    if (--live_ > 0)
        return;
    lock_.lock();
    detail::claimed_waiters const all = waiting_.claim_all();
    lock_.unlock();
    all.deliver();
}

detail::wake_cause task_group::wait_for_all(detail::cancellation cancels) noexcept {
    while (live_ > 0) {
        std::unique_lock lock(lock_);
        auto const cause =
            waiting_.wait(lock, {"end of a task group", weft::detail::by_fibers}, never, cancels);
        if (cause != detail::wake_cause::notified)
            return cause;
    }
    return detail::wake_cause::notified;
}

void task_group::wait() {
    require_own_worker();
    auto const cancels = detail::own_cancellation();
    if (wait_for_all(cancels) == detail::wake_cause::cancelled) {
        if (detail::find_cancelled(&scope_) == nullptr)
            detail::throw_cancelled();
        wait_for_all(detail::cancellation::ignored);
    }
    if (!failures_.empty())
        throw exception_group(std::exchange(failures_, {}));
    if (cancels == detail::cancellation::heeded)
        this_fiber::check_cancelled();
}

void task_group::cancel(std::string reason) {
    require_own_worker();
    detail::cancel(scope_, std::move(reason));
}

void task_group::body_failed() {
    failures_.push_back({.fiber = owner_->name, .exception = std::current_exception()});
    detail::cancel(scope_,
                   "the body of the task group failed: " + detail::describe(failures_.back().exception));
}

// By the group: wait() tells the rest. Otherwise it is not ours to catch.
void task_group::body_cancelled() {
    if (scope_.cancelled && detail::find_cancelled(scope_.parent) == nullptr)
        return;
    detail::cancel(scope_, "the body of the task group was cancelled");
    wait_for_all(detail::cancellation::ignored);
    if (!failures_.empty())
        throw exception_group(std::exchange(failures_, {}));
    throw;
}

void task_group::body_left() {
    detail::cancel(scope_, "the body of the task group was left by pthread_exit");
    wait_for_all(detail::cancellation::ignored);
    throw;
}

void task_group::wait_for_start(detail::start_state& state, fiber_handle& child) {
    if (!state.wait(detail::own_cancellation())) {
        child.cancel("the fiber that waits for its start was cancelled");
        static_cast<void>(state.wait(detail::cancellation::ignored));
        detail::throw_cancelled();
    }
    if (!state.reported)
        std::rethrow_exception(state.failure);
}

} // namespace weft
