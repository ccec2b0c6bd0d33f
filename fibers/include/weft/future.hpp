// promise<T> and future<T>: hands one value, or an exception, over to whoever waits for it, fiber or plain thread, on any worker.
//
//     weft::promise<answer> asked;
//     weft::future<answer> given = asked.get_future();
//     std::thread([asked = std::move(asked)]() mutable { asked.set_value(compute()); }).detach();
//     use(given.get()); // the fiber waits
//
// As the standard's, but that waiting on a fiber parks it without the patch layer, too, and can be cancelled. A promise and its future may
// be used by different threads at the same time. Errors are std::future_error, with the standard's codes.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/clock.hpp>
#include <weft/event.hpp>
#include <weft/result.hpp>

namespace weft {

namespace detail {

template <class T> struct shared_outcome {
    event ready{"future"};
    std::atomic<bool> taken{false}; // somebody sets, or has set, `outcome`
    bool future_given = false;
    std::optional<result<T>> outcome; // valid once ready

    void set(result<T> what) {
        if (taken.exchange(true, std::memory_order_acq_rel))
            throw std::future_error(std::future_errc::promise_already_satisfied);
        try {
            outcome.emplace(std::move(what));
        } catch (...) {
            taken.store(false, std::memory_order_release);
            throw;
        }
        ready.set();
    }
};

} // namespace detail

template <class T = void> class future {
public:
    future() noexcept = default; // refers to no promise

    [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }

    // Whether the value, or exception, is there.
    [[nodiscard]] bool ready() const { return state().ready.is_set(); }

    // Until it is there. Throws weft::cancelled.
    void wait() const { state().ready.wait(); }
    // False if it was not there by then.
    [[nodiscard]] bool wait_until(time_point deadline) const { return state().ready.wait_until(deadline); }
    template <class Rep, class Period>
    [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> duration) const {
        return wait_until(deadline_after(duration));
    }

    // wait(), then the value, or the exception thrown. Once only: the future is not valid() afterwards.
    T get() { return try_get().value(); }

    // As get(), but the exception is in the result.
    result<T> try_get() {
        wait();
        auto const state = std::exchange(state_, nullptr);
        return std::move(*state->outcome);
    }

private:
    template <class U> friend class promise;

    explicit future(std::shared_ptr<detail::shared_outcome<T>> state) noexcept : state_(std::move(state)) {}

    detail::shared_outcome<T>& state() const {
        if (!state_)
            throw std::future_error(std::future_errc::no_state);
        return *state_;
    }

    std::shared_ptr<detail::shared_outcome<T>> state_;
};

template <class T = void> class promise {
public:
    promise() : state_(std::make_shared<detail::shared_outcome<T>>()) {}
    promise(promise&&) noexcept = default;
    promise& operator=(promise&& other) noexcept {
        promise taken(std::move(other));
        std::swap(state_, taken.state_);
        return *this;
    }
    // A promise that was not kept: the future throws std::future_error (broken_promise).
    ~promise() {
        if (state_ && !state_->taken.load(std::memory_order_acquire))
            set_exception(std::make_exception_ptr(std::future_error(std::future_errc::broken_promise)));
    }

    // Once only: std::future_errc::future_already_retrieved.
    [[nodiscard]] future<T> get_future() {
        if (std::exchange(state().future_given, true))
            throw std::future_error(std::future_errc::future_already_retrieved);
        return future<T>(state_);
    }

    // Once, one of the two, from any thread: std::future_errc::promise_already_satisfied.
    template <class... Value> void set_value(Value&&... value) {
        state().set(result<T>(std::in_place, std::forward<Value>(value)...));
    }
    void set_exception(std::exception_ptr failure) { state().set(result<T>(std::move(failure))); }

private:
    detail::shared_outcome<T>& state() const {
        if (!state_)
            throw std::future_error(std::future_errc::no_state);
        return *state_;
    }

    std::shared_ptr<detail::shared_outcome<T>> state_; // null: moved from
};

} // namespace weft
