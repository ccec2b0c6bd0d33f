#include <stdexcept>
#include <utility>

#include <weft/detail/misuse.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/fiber.hpp>
#include <weft/timer.hpp>

#include "unhandled.hpp"
#include "worker.hpp"

namespace weft {

timer::timer(time_point when, std::function<void()> function)
    : home_(detail::this_worker), function_(std::move(function)) {
    if (home_ == nullptr)
        throw std::logic_error("weft::timer: made on a thread that runs no fiber; make it inside weft::run");
    expire = [](detail::timer_node& self) noexcept { static_cast<timer&>(self).expired(); };
    over_.set();
    set(when);
}

timer::~timer() {
    if (queued == never)
        return;
    if (home_ != detail::this_worker)
        detail::fail_misuse(
            "weft::timer: destroyed while armed, on another worker or thread than the one that set it");
    home_->remove_timer(*this);
}

void timer::require_own_worker() const {
    if (home_ != detail::this_worker)
        throw std::logic_error(
            "weft::timer: used on another worker or thread than the timer's; weft::post a function "
            "there that uses it");
}

void timer::set(time_point when) {
    require_own_worker();
    has_expired_ = false;
    if (when == never) {
        cancel();
        return;
    }
    deadline = when;
    over_.clear();
    try {
        home_->arm_timer(*this);
    } catch (...) {
        deadline = never;
        over_.set();
        throw;
    }
}

bool timer::cancel() {
    require_own_worker();
    if (!armed())
        return false;
    deadline = never;
    home_->remove_timer(*this);
    over_.set();
    return true;
}

void timer::expired() noexcept {
    deadline = never;
    has_expired_ = true;
    ++expirations_;
    over_.set();
    if (!function_)
        return;
    try {
        spawn({.name = "timer", .stack_size = 0}, function_).detach();
    } catch (...) {
        detail::report_unhandled("timer", std::current_exception());
    }
}

bool timer::wait() {
    require_own_worker();
    detail::throw_if_cancelled();
    if (!armed())
        return has_expired_;
    auto const before = expirations_;
    over_.wait();
    return expirations_ != before;
}

} // namespace weft
