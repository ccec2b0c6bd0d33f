#include <memory>
#include <mutex>
#include <system_error>

#include <weft/detail/misuse.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/detail/scope.hpp>
#include <weft/detail/task.hpp>
#include <weft/fiber_handle.hpp>

#include "fiber_end.hpp"
#include "worker.hpp"

namespace weft {
namespace {

using detail::current_fiber;
using detail::fiber_core;

// Until it has ended: notified, or why not.
detail::wake_cause wait_for_end(fiber_core& fiber, time_point deadline, detail::cancellation cancels) {
    std::unique_lock lock(fiber.lock);
    if (fiber.done)
        return detail::wake_cause::notified;
    return fiber.joiners.wait(lock, {"join", fiber}, deadline, cancels);
}

} // namespace

fiber_cancelled::fiber_cancelled(std::string_view fiber, std::string_view reason)
    : std::runtime_error("weft: fiber \"" + std::string(fiber) + "\" was cancelled: " + std::string(reason)) {
}

fiber_core& fiber_handle::require(char const* function) const {
    if (core_ != nullptr)
        return *core_;
    std::string message = std::string("weft::fiber::") + function + ": ";
    if (taken_ != 0)
        message += "the result of fiber " + std::to_string(taken_) + " was taken before";
    else
        message += "the handle refers to no fiber: it was moved from, detached, or never given one";
    throw std::logic_error(message);
}

bool fiber_handle::done() const {
    fiber_core& fiber = require("done");
    std::scoped_lock const lock(fiber.lock);
    return fiber.done;
}

void fiber_handle::join() { static_cast<void>(join_until(never)); }

bool fiber_handle::join_until(time_point deadline) {
    fiber_core& fiber = require("join");
    if (&fiber == current_fiber)
        throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur),
                                "weft::fiber::join: fiber \"" + std::string(fiber.name) +
                                    "\" can't join itself");
    detail::throw_if_cancelled();
    auto const cause = wait_for_end(fiber, deadline, detail::own_cancellation());
    if (cause == detail::wake_cause::cancelled)
        detail::throw_cancelled();
    return cause == detail::wake_cause::notified;
}

bool fiber_handle::request_stop() {
    fiber_core& fiber = require("request_stop");
    std::unique_lock lock(fiber.lock);
    if (std::exchange(fiber.stop_requested, true))
        return false;
    std::stop_source stop = fiber.stop;
    lock.unlock();
    stop.request_stop(); // runs callbacks
    return true;
}

std::stop_token fiber_handle::get_stop_token() { return detail::stop_token_of(require("get_stop_token")); }

void fiber_handle::cancel(std::string reason) { detail::cancel_fiber(require("cancel"), std::move(reason)); }

void fiber_handle::add_callback(std::function<void(std::exception_ptr)> callback) {
    fiber_core& fiber = require("on_done");
    std::unique_ptr<detail::done_callback> made(
        new detail::done_callback{.next = nullptr, .function = std::move(callback)});
    std::unique_lock lock(fiber.lock);
    if (!fiber.done) {
        made->next = fiber.callbacks;
        fiber.callbacks = made.release();
        return;
    }
    lock.unlock();
    detail::run_callbacks(made.release(), fiber, fiber.task->failure);
}

void fiber_handle::release() noexcept {
    if (core_ != nullptr)
        detail::release_reference(*std::exchange(core_, nullptr));
}

void fiber_handle::detach() {
    fiber_core& fiber = require("detach");
    fiber.lock.lock();
    bool const unobserved = fiber.done;
    fiber.detached = true;
    fiber.lock.unlock();
    if (unobserved)
        detail::report_failure(fiber);
    release();
}

void fiber_handle::stop_and_join() noexcept {
    if (core_ == nullptr)
        return;
    fiber_core& fiber = *core_;
    if (&fiber == current_fiber)
        detail::fail_misuse("weft::fiber: a fiber destroyed its own handle, whose destructor joins it");
    if (!done()) {
        request_stop();
        if (wait_for_end(fiber, never, detail::cancellation::heeded) == detail::wake_cause::cancelled) {
            detail::cancel_fiber(fiber, "the fiber that waits for it was cancelled");
            wait_for_end(fiber, never, detail::cancellation::ignored);
        }
    }
    detach();
}

namespace detail {

std::stop_token stop_token_of(fiber_core& fiber) {
    std::scoped_lock const lock(fiber.lock);
    if (!fiber.stop.stop_possible()) {
        fiber.stop = std::stop_source();
        if (fiber.stop_requested)
            fiber.stop.request_stop();
    }
    return fiber.stop.get_token();
}

} // namespace detail

} // namespace weft
