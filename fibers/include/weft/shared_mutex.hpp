// shared_mutex: many readers, or one writer. Meets SharedLockable: std::shared_lock for reading, std::unique_lock for writing.
//
// FIFO: whoever comes waits behind those who wait already, so neither readers nor writers starve. When a reader's turn comes, so does that
// of the readers right behind it. In all else, errors and cancellation included, as mutex.
//
// Who holds it for reading is not known one by one: a fiber that asks for it again while a writer waits waits for itself; and of unlocking
// for others, only unlock_shared() without any reader is found.
#pragma once

#include <chrono>
#include <cstddef>

#include <weft/clock.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/sync_object.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

class shared_mutex final : public detail::sync_object {
public:
    // `name`: for messages and reports; a string literal.
    explicit shared_mutex(char const* name = "") noexcept : sync_object("shared_mutex", name) {}

    // Ends the program, with a message, if it is held.
    ~shared_mutex() override;

    void lock() { static_cast<void>(try_lock_until(never)); }
    [[nodiscard]] bool try_lock();
    [[nodiscard]] bool try_lock_until(time_point deadline);
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> duration) {
        return try_lock_until(deadline_after(duration));
    }
    void unlock();

    void lock_shared() { static_cast<void>(try_lock_shared_until(never)); }
    [[nodiscard]] bool try_lock_shared();
    [[nodiscard]] bool try_lock_shared_until(time_point deadline);
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_shared_for(std::chrono::duration<Rep, Period> duration) {
        return try_lock_shared_until(deadline_after(duration));
    }
    void unlock_shared();

    [[nodiscard]] int holder() const noexcept override { return writer_; }

private:
    [[nodiscard]] bool wait(std::unique_lock<detail::biased_lock>& lock, int writer, time_point deadline);
    void hand_on(std::unique_lock<detail::biased_lock>& lock) noexcept;
    [[nodiscard]] bool admit(int writer) noexcept;

    mutable detail::biased_lock lock_; // guards the rest
    int writer_ = 0;                   // 0: none
    std::size_t readers_ = 0;
    detail::wait_list waiting_; // waiter::tag: of a writer who it is, of a reader 0
};

} // namespace weft
