// channel<T>: hands values from fibers to fibers, in order. As Go's channels and asyncio's queues.
//
//     weft::channel<job> jobs(16);          // at most 16 wait in it; 0: every send waits for its receive
//     ...
//     for (job& each : jobs)                // until it is closed and empty
//         work(each);
//
// FIFO throughout: values come out as they went in, and those who wait to send or receive are served in turn; who comes later
// doesn't overtake. Usable by fibers of all workers and by plain threads, any number on either side.
//
// After close(), nothing goes in any more; what is in the channel comes out, and then receivers are told that it is closed. Senders that
// wait at that moment are told so; send_until and send_for leave them their values.
//
// T is moved while the channel is locked: moving must not throw, wait, or use the channel. Waiting calls throw weft::cancelled; nothing
// has been sent or received then.
#pragma once

#include <chrono>
#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <weft/clock.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/detail/sync_object.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/detail/waiter.hpp>

namespace weft {

enum class channel_status {
    success,
    closed,
    timed_out,
    would_wait, // try_send: it is full; try_receive: it is empty
};

namespace detail {

struct select_access;

// What doesn't depend on the type of the values.
class channel_base : public sync_object {
public:
    // Nothing goes in from now on. Again: nothing more.
    void close() noexcept;
    [[nodiscard]] bool is_closed() const noexcept;

    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    // Values in it at this moment.
    [[nodiscard]] std::size_t size() const noexcept;

    // For queues of work: whoever has received a value says when it is done with it; join() waits until that is so of all that were ever
    // sent. task_done() throws std::logic_error if it is called more often than values were received.
    void task_done();
    void join() { static_cast<void>(join_until(never)); }
    // False if some were not done by then.
    [[nodiscard]] bool join_until(time_point deadline);
    template <class Rep, class Period>
    [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> duration) {
        return join_until(deadline_after(duration));
    }

protected:
    friend select_access;

    // How a waiter's wait ended, in waiter::tag.
    static constexpr int by_closing = 1;

    channel_base(std::size_t capacity, char const* name) noexcept
        : sync_object("channel", name), capacity_(capacity) {}
    ~channel_base() override = default;

    // Under the lock: there is something to be seen.
    void claim_peekers(claimed_waiters& woken) noexcept {
        while (waiter* const each = peekers_.claim_first())
            woken.add(*each);
    }

    mutable biased_lock lock_; // guards the rest
    bool closed_ = false;
    std::size_t const capacity_;
    std::size_t count_ = 0;      // values in the buffer
    std::size_t unfinished_ = 0; // values sent of which task_done() was not told
    std::size_t received_ = 0;   // values received of which task_done() was not told
    wait_list senders_;          // payload: T, to be moved from. Not empty only while the buffer is full
    wait_list receivers_;        // payload: std::optional<T>. Not empty only while the buffer is empty
    wait_list peekers_;          // for whom something is to be seen
    wait_list joiners_;
};

} // namespace detail

template <class T> class channel final : public detail::channel_base {
    static_assert(std::is_nothrow_move_constructible_v<T>, "a channel moves its values while it is locked");

public:
    using value_type = T;

    // Room for that many values. `name`: for messages and reports; a string literal. Throws std::bad_alloc.
    explicit channel(std::size_t capacity, char const* name = "")
        : channel_base(capacity, name), ring_(capacity != 0 ? new slot[capacity] : nullptr) {}
    ~channel() override {
        while (count_ > 0)
            drop_front();
    }

    // Waits until there is room, or a receiver. False if the channel is closed; the value is gone then.
    bool send(T value) { return send_until(std::move(value), never) == channel_status::success; }

    // `value` is moved from on success alone.
    channel_status try_send(T&& value) {
        detail::claimed_waiters woken;
        std::unique_lock lock(lock_);
        channel_status const status = put(value, woken);
        lock.unlock();
        woken.deliver();
        return status;
    }
    channel_status try_send(T const& value) requires std::is_copy_constructible_v<T> {
        return try_send(T(value));
    }
    channel_status send_until(T&& value, time_point deadline) {
        detail::throw_if_cancelled();
        detail::claimed_waiters woken;
        std::unique_lock lock(lock_);
        channel_status const at_once = put(value, woken);
        if (at_once != channel_status::would_wait) {
            lock.unlock();
            woken.deliver();
            return at_once;
        }
        claim_peekers(woken);
        detail::waiter self;
        self.payload = std::addressof(value);
        return status_of(detail::own_wait(senders_, self, lock, {"channel send", *this}, deadline, woken),
                         self);
    }
    template <class Rep, class Period>
    channel_status send_for(T&& value, std::chrono::duration<Rep, Period> duration) {
        return send_until(std::move(value), deadline_after(duration));
    }

    channel_status send_until(T const& value, time_point deadline) requires std::is_copy_constructible_v<T> {
        return send_until(T(value), deadline);
    }
    template <class Rep, class Period>
    channel_status
    send_for(T const& value,
             std::chrono::duration<Rep, Period> duration) requires std::is_copy_constructible_v<T> {
        return send_until(T(value), deadline_after(duration));
    }

    // Waits for a value; none: the channel is closed, and empty.
    std::optional<T> receive() {
        std::optional<T> value;
        receive_until(value, never);
        return value;
    }

    // None: there is none now.
    std::optional<T> try_receive() {
        std::optional<T> value;
        detail::claimed_waiters woken;
        std::unique_lock lock(lock_);
        static_cast<void>(take(value, woken));
        lock.unlock();
        woken.deliver();
        return value;
    }

    // `value` is set on success, and empty otherwise.
    channel_status receive_until(std::optional<T>& value, time_point deadline) {
        value.reset();
        detail::throw_if_cancelled();
        detail::claimed_waiters woken;
        std::unique_lock lock(lock_);
        channel_status const at_once = take(value, woken);
        if (at_once != channel_status::would_wait) {
            lock.unlock();
            woken.deliver();
            return at_once;
        }
        detail::waiter self;
        self.payload = &value;
        return status_of(detail::own_wait(receivers_, self, lock, {"channel receive", *this}, deadline),
                         self);
    }
    template <class Rep, class Period>
    channel_status receive_for(std::optional<T>& value, std::chrono::duration<Rep, Period> duration) {
        return receive_until(value, deadline_after(duration));
    }

    // Waits for a value and copies it, which stays the next to be received. None: the channel is closed, and empty. The copy is made while
    // the channel is locked.
    std::optional<T> peek() requires std::is_copy_constructible_v<T> {
        detail::throw_if_cancelled();
        for (;;) {
            std::unique_lock lock(lock_);
            if (count_ > 0)
                return *front().value();
            if (detail::waiter const* const sender = senders_.first())
                return *static_cast<T const*>(sender->payload);
            if (closed_)
                return std::nullopt;
            detail::own_wait(peekers_, lock, {"channel peek", *this}, never);
        }
    }

    // for (T& each : channel): receives until it is closed and empty.
    class iterator {
    public:
        using iterator_concept = std::input_iterator_tag;
        using value_type = T;
        using difference_type = std::ptrdiff_t;

        explicit iterator(channel& from) : from_(&from) { ++*this; }

        T& operator*() const noexcept { return *value_; }
        T* operator->() const noexcept { return &*value_; }
        iterator& operator++() {
            from_->receive_until(value_, never); // T need not be assignable
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(std::default_sentinel_t /*end*/) const noexcept { return !value_; }

    private:
        channel* from_;
        mutable std::optional<T> value_;
    };
    iterator begin() { return iterator(*this); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

private:
    friend detail::select_access;

    struct slot {
        alignas(T) std::byte bytes[sizeof(T)];

        T* value() noexcept { return std::launder(reinterpret_cast<T*>(bytes)); }
    };

    slot& front() noexcept { return ring_[first_]; }
    slot& back() noexcept {
        std::size_t const at = first_ + count_;
        return ring_[at < capacity_ ? at : at - capacity_];
    }
    void drop_front() noexcept {
        std::destroy_at(front().value());
        first_ = first_ + 1 < capacity_ ? first_ + 1 : 0;
        --count_;
    }

    // Under the lock; what they woke is to be delivered without it.
    channel_status put(T& value, detail::claimed_waiters& woken) noexcept {
        if (closed_)
            return channel_status::closed;
        if (detail::waiter* const receiver = receivers_.claim_first()) {
            static_cast<std::optional<T>*>(receiver->payload)->emplace(std::move(value));
            ++received_;
            woken.add(*receiver);
        } else if (count_ < capacity_) {
            std::construct_at(back().value(), std::move(value));
            ++count_;
            claim_peekers(woken);
        } else {
            return channel_status::would_wait;
        }
        ++unfinished_;
        return channel_status::success;
    }
    channel_status take(std::optional<T>& value, detail::claimed_waiters& woken) noexcept {
        detail::waiter* const sender = count_ == capacity_ ? senders_.claim_first() : nullptr;
        if (count_ > 0) {
            value.emplace(std::move(*front().value()));
            drop_front();
            if (sender != nullptr) {
                std::construct_at(back().value(), std::move(*static_cast<T*>(sender->payload)));
                ++count_;
            }
        } else if (sender != nullptr) {
            value.emplace(std::move(*static_cast<T*>(sender->payload)));
        } else {
            return closed_ ? channel_status::closed : channel_status::would_wait;
        }
        ++received_;
        if (sender != nullptr) {
            ++unfinished_;
            woken.add(*sender);
        }
        return channel_status::success;
    }

    static channel_status status_of(bool woken, detail::waiter const& self) noexcept {
        if (!woken)
            return channel_status::timed_out;
        return self.tag == by_closing ? channel_status::closed : channel_status::success;
    }

    std::unique_ptr<slot[]> const ring_;
    std::size_t first_ = 0; // of the count_ values in it
};

} // namespace weft
