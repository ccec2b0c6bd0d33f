// mutex and recursive_mutex: one fiber, or plain thread, at a time.
//
// FIFO: who unlocks hands the mutex to the one that has waited longest, so nobody overtakes or starves. Usable by fibers of all workers
// and by plain threads; held across waits at will, as only the fiber waits. They meet TimedLockable: std::scoped_lock,
// std::unique_lock and std::lock_guard work.
//
// A mutex knows its owner. Unlocking somebody else's, and locking one's own mutex again, throw std::system_error with
// operation_not_permitted and resource_deadlock_would_occur, naming the mutex and the owner. (From a guard's destructor
// nothing can be thrown: the program ends, with that message.)
//
// Waiting for it can be cancelled: weft::cancelled, without the mutex. A lock that needs no wait is taken all the same.
//
// Must outlive all who wait for it; who has locked it may destroy it, once it has unlocked it.
#pragma once

#include <chrono>
#include <cstddef>

#include <weft/clock.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/lock_owner.hpp>
#include <weft/detail/sync_object.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

class mutex : public detail::sync_object {
public:
    // `name`: for messages and reports; a string literal.
    explicit mutex(char const* name = "") noexcept : sync_object("mutex", name) {}

    // Ends the program, with a message, if it is held.
    ~mutex() override;

    void lock() {
        int const self = detail::lock_owner();
        lock_.lock();
        if (owner_ == 0) [[likely]] {
            owner_ = self;
            lock_.unlock();
        } else {
            static_cast<void>(lock_slowly(self, never));
        }
    }

    [[nodiscard]] bool try_lock() {
        lock_.lock();
        bool const free = owner_ == 0;
        if (free)
            owner_ = detail::lock_owner();
        lock_.unlock();
        return free;
    }

    // False if it could not be had by then.
    [[nodiscard]] bool try_lock_until(time_point deadline);
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> duration) {
        return try_lock_until(deadline_after(duration));
    }

    void unlock() {
        int const self = detail::lock_owner();
        lock_.lock();
        if (owner_ == self && waiting_.empty()) [[likely]] {
            owner_ = 0;
            lock_.unlock();
        } else {
            unlock_slowly(self);
        }
    }

    // Whether the caller holds it.
    [[nodiscard]] bool owned() const noexcept;

    [[nodiscard]] int holder() const noexcept override { return owner_; }

protected:
    mutex(char const* kind, char const* name) noexcept : sync_object(kind, name) {}

private:
    bool lock_slowly(int self, time_point deadline); // with lock_, which it releases
    void unlock_slowly(int self);                    // the same

    mutable detail::biased_lock lock_; // guards the rest
    int owner_ = 0;                    // 0: nobody
    detail::wait_list waiting_;
};

// Its owner may lock it again, and unlocks it as often.
class recursive_mutex : private mutex {
public:
    explicit recursive_mutex(char const* name = "") noexcept : mutex("recursive_mutex", name) {}

    using mutex::name;
    using mutex::owned;

    void lock() {
        if (!owned())
            mutex::lock();
        ++depth_;
    }
    [[nodiscard]] bool try_lock() {
        bool const locked = owned() || mutex::try_lock();
        depth_ += locked ? 1 : 0;
        return locked;
    }
    [[nodiscard]] bool try_lock_until(time_point deadline) {
        bool const locked = owned() || mutex::try_lock_until(deadline);
        depth_ += locked ? 1 : 0;
        return locked;
    }
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> duration) {
        return try_lock_until(deadline_after(duration));
    }
    void unlock() {
        if (owned() && --depth_ > 0)
            return;
        mutex::unlock();
    }

private:
    std::size_t depth_ = 0; // the owner's
};

} // namespace weft
