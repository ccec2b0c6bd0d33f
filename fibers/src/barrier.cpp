#include <exception>
#include <mutex>
#include <stdexcept>
#include <utility>

#include <weft/barrier.hpp>
#include <weft/detail/own_wait.hpp>

namespace weft {

barrier::barrier(std::ptrdiff_t expected, std::function<void()> completion, char const* name)
    : sync_object("barrier", name),
      expected_(expected),
      missing_(expected),
      completion_(std::move(completion)) {
    if (expected < 0)
        throw std::invalid_argument(complain("can't expect less than nobody"));
}

std::uint64_t barrier::arrive_as(std::ptrdiff_t leaving) {
    std::unique_lock lock(lock_);
    if (missing_ == 0) {
        lock.unlock();
        throw std::logic_error(complain("more have arrived than are expected"));
    }
    expected_ -= leaving;
    std::uint64_t const phase = phase_;
    if (--missing_ > 0)
        return phase;
    // Nobody else is expected in this phase, so nothing changes meanwhile.
    lock.unlock();
    std::exception_ptr const failure = complete();
    lock.lock();
    missing_ = expected_;
    ++phase_;
    detail::claimed_waiters const all = waiting_.claim_all();
    lock.unlock();
    all.deliver();
    if (failure)
        std::rethrow_exception(failure);
    return phase;
}

// Whatever becomes of who was the last to arrive, the phase ends: the others wait for it.
std::exception_ptr barrier::complete() const noexcept {
    if (!completion_)
        return nullptr;
    detail::uncancellable const whole;
    try {
        completion_();
    } catch (...) {
        return std::current_exception();
    }
    return nullptr;
}

barrier::arrival_token barrier::arrive() { return arrival_token(arrive_as(0)); }
void barrier::arrive_and_drop() { arrive_as(1); }

bool barrier::wait_until(arrival_token&& token, time_point deadline) {
    detail::throw_if_cancelled();
    std::unique_lock lock(lock_);
    if (phase_ != token.phase_)
        return true;
    return detail::own_wait(waiting_, lock, {"barrier", *this}, deadline);
}

} // namespace weft
