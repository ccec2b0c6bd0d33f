// barrier: a number of fibers and plain threads meet, again and again. As std::barrier.
//
// A phase ends when as many have arrived as are expected; then the completion function runs, on the last to arrive, before
// anybody goes on. It may wait, and isn't cancelled then; it must not use the barrier. If it throws, the phase ends all the same, and the
// exception is the last one's.
//
// Must outlive every call of its members: the last to arrive may still be in there when the others go on.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>

#include <weft/clock.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/sync_object.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {

class barrier final : public detail::sync_object {
public:
    // The phase that one arrived in.
    class arrival_token {
    public:
        arrival_token(arrival_token&&) noexcept = default;
        arrival_token& operator=(arrival_token&&) noexcept = default;

    private:
        friend barrier;
        explicit arrival_token(std::uint64_t phase) noexcept : phase_(phase) {}

        std::uint64_t phase_;
    };

    // Throws std::invalid_argument if `expected` is negative. `name`: for messages and reports; a string literal.
    explicit barrier(std::ptrdiff_t expected, std::function<void()> completion = {}, char const* name = "");

    // Arrives without waiting. Throws std::logic_error if more arrive in a phase than are expected.
    [[nodiscard]] arrival_token arrive();

    // Until the phase that `token` is from has ended. Throws weft::cancelled.
    void wait(arrival_token&& token) { static_cast<void>(wait_until(std::move(token), never)); }
    // False if it had not ended by then.
    [[nodiscard]] bool wait_until(arrival_token&& token, time_point deadline);

    // Has arrived, and been counted, also if the wait is cancelled.
    void arrive_and_wait() { wait(arrive()); }

    // Arrives, and is not expected in later phases.
    void arrive_and_drop();

private:
    std::uint64_t arrive_as(std::ptrdiff_t leaving);
    std::exception_ptr complete() const noexcept;

    mutable detail::biased_lock lock_; // guards the rest
    std::ptrdiff_t expected_;
    std::ptrdiff_t missing_; // in this phase
    std::uint64_t phase_ = 0;
    detail::wait_list waiting_;
    std::function<void()> const completion_;
};

} // namespace weft
