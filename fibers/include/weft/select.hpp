// select: waits for several things at once, and does the first that can be done. As Go's.
//
//     weft::select(
//         weft::on_receive(jobs, [&](std::optional<job> next) { ... }), // none: the channel is closed
//         weft::on_send(results, answer, [&](bool sent) { ... }),       // false: the channel is closed
//         weft::on_set(stop, [&] { ... }),
//         weft::on_timeout(5s, [&] { ... }),
//         weft::otherwise([&] { ... }));                                // don't wait at all
//
// One case is done, and only one: nothing is received, sent or waited for by the others. If several can be done, one of them is chosen
// at random, each as likely. Those who wait in a select wait in line with all others. Each case's function is called after that, without any lock.
// Returns the place of the case that was done, from 0.
//
// Usable on fibers and plain threads. Throws weft::cancelled, with nothing done; and what the function throws.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include <weft/channel.hpp>
#include <weft/clock.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/waiter.hpp>
#include <weft/event.hpp>

namespace weft {

namespace detail {

class select_case {
public:
    select_case(select_case const&) = delete;
    select_case& operator=(select_case const&) = delete;

    // Null: none is needed.
    [[nodiscard]] virtual biased_lock* lock() noexcept { return nullptr; }
    // Under the lock: does it, if that can be done now.
    [[nodiscard]] virtual bool try_now(claimed_waiters& /*woken*/) noexcept { return false; }
    // Under the lock: in line, and out of it again.
    virtual void enqueue() noexcept {}
    virtual void withdraw() noexcept {}
    // When it is too late; and whether it is never too early.
    [[nodiscard]] virtual time_point deadline() const noexcept { return never; }
    [[nodiscard]] virtual bool is_default() const noexcept { return false; }

    waiter place; // valid while select waits

protected:
    select_case() = default;
    virtual ~select_case() = default;
};

// The case that was done.
select_case const* select(std::span<select_case*> cases, std::span<biased_lock*> locks);

struct select_access {
    template <class T> static biased_lock& lock(channel<T>& from) noexcept { return from.lock_; }
    template <class T> static channel_status put(channel<T>& to, T& value, claimed_waiters& woken) noexcept {
        return to.put(value, woken);
    }
    template <class T>
    static channel_status take(channel<T>& from, std::optional<T>& value, claimed_waiters& woken) noexcept {
        return from.take(value, woken);
    }
    template <class T> static wait_list& senders(channel<T>& of) noexcept { return of.senders_; }
    template <class T> static wait_list& receivers(channel<T>& of) noexcept { return of.receivers_; }
    template <class T> static void claim_peekers(channel<T>& of, claimed_waiters& woken) noexcept {
        of.claim_peekers(woken);
    }
    static bool closed(waiter const& place) noexcept { return place.tag == channel_base::by_closing; }
    static biased_lock& lock(event& one) noexcept { return one.lock_; }
    static bool is_set(event const& one) noexcept { return one.set_; }
    static wait_list& waiting(event& one) noexcept { return one.waiting_; }
};

template <class T, class F> class receive_case final : public select_case {
public:
    receive_case(channel<T>& from, F&& function) : from_(from), function_(std::forward<F>(function)) {}

    biased_lock* lock() noexcept override { return &select_access::lock(from_); }
    bool try_now(claimed_waiters& woken) noexcept override {
        return select_access::take(from_, value_, woken) != channel_status::would_wait;
    }
    void enqueue() noexcept override {
        place.payload = &value_;
        select_access::receivers(from_).push_back(place);
    }
    void withdraw() noexcept override { select_access::receivers(from_).erase(place); }
    void finish() { function_(std::move(value_)); }

private:
    channel<T>& from_;
    F function_;
    std::optional<T> value_;
};

template <class T, class F> class send_case final : public select_case {
public:
    send_case(channel<T>& to, T value, F&& function)
        : to_(to), value_(std::move(value)), function_(std::forward<F>(function)) {}

    biased_lock* lock() noexcept override { return &select_access::lock(to_); }
    bool try_now(claimed_waiters& woken) noexcept override {
        auto const status = select_access::put(to_, value_, woken);
        closed_ = status == channel_status::closed;
        if (status == channel_status::would_wait)
            select_access::claim_peekers(to_, woken);
        return status != channel_status::would_wait;
    }
    void enqueue() noexcept override {
        place.payload = std::addressof(value_);
        select_access::senders(to_).push_back(place);
    }
    void withdraw() noexcept override { select_access::senders(to_).erase(place); }
    void finish() {
        bool const sent = !closed_ && !select_access::closed(place);
        if constexpr (std::is_invocable_v<F&, bool>)
            function_(sent);
        else
            function_();
    }

private:
    channel<T>& to_;
    T value_;
    F function_;
    bool closed_ = false;
};

template <class F> class set_case final : public select_case {
public:
    set_case(event& one, F&& function) : event_(one), function_(std::forward<F>(function)) {}

    biased_lock* lock() noexcept override { return &select_access::lock(event_); }
    bool try_now(claimed_waiters& /*woken*/) noexcept override { return select_access::is_set(event_); }
    void enqueue() noexcept override { select_access::waiting(event_).push_back(place); }
    void withdraw() noexcept override { select_access::waiting(event_).erase(place); }
    void finish() { function_(); }

private:
    event& event_;
    F function_;
};

template <class F> class timeout_case final : public select_case {
public:
    timeout_case(time_point when, F&& function) : when_(when), function_(std::forward<F>(function)) {}

    [[nodiscard]] time_point deadline() const noexcept override { return when_; }
    void finish() { function_(); }

private:
    time_point when_;
    F function_;
};

template <class F> class default_case final : public select_case {
public:
    explicit default_case(F&& function) : function_(std::forward<F>(function)) {}

    [[nodiscard]] bool is_default() const noexcept override { return true; }
    void finish() { function_(); }

private:
    F function_;
};

} // namespace detail

// The cases. They refer to the channel or event, and to functions that are no temporaries: for the call of select alone.

// function(std::optional<T>)
template <class T, class F> auto on_receive(channel<T>& from, F&& function) {
    return detail::receive_case<T, F>(from, std::forward<F>(function));
}

// function(bool), or function()
template <class T, class F> auto on_send(channel<T>& to, std::type_identity_t<T> value, F&& function) {
    return detail::send_case<T, F>(to, std::move(value), std::forward<F>(function));
}

// function(), all these
template <class F> auto on_set(event& one, F&& function) {
    return detail::set_case<F>(one, std::forward<F>(function));
}
template <class F> auto on_deadline(time_point when, F&& function) {
    return detail::timeout_case<F>(when, std::forward<F>(function));
}
template <class Rep, class Period, class F>
auto on_timeout(std::chrono::duration<Rep, Period> duration, F&& function) {
    return on_deadline(deadline_after(duration), std::forward<F>(function));
}
template <class F> auto otherwise(F&& function) { return detail::default_case<F>(std::forward<F>(function)); }

template <class... Cases>
    requires(sizeof...(Cases) > 0 &&
             (std::is_base_of_v<detail::select_case, std::remove_reference_t<Cases>> && ...))
std::size_t select(Cases&&... cases) {
    std::array<detail::select_case*, sizeof...(Cases)> all{&cases...};
    std::array<detail::biased_lock*, sizeof...(Cases)> locks{};
    detail::select_case const* const done = detail::select(all, locks);
    std::size_t at = 0;
    static_cast<void>(((done == &cases ? (cases.finish(), true) : (++at, false)) || ...));
    return at;
}

} // namespace weft
