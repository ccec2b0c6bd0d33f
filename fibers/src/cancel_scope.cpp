#include <exception>

#include <weft/cancel_scope.hpp>
#include <weft/detail/misuse.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/offload.hpp>

#include "worker.hpp"

namespace weft {

cancel_scope::cancel_scope(time_point deadline) : fiber_(detail::current_fiber) {
    if (fiber_ == nullptr)
        throw std::logic_error(
            "weft::cancel_scope: made on a thread that runs no fiber; make it inside weft::run");
    node_.deadline = deadline;
    detail::enter_scope(node_);
}

cancel_scope::~cancel_scope() {
    if (fiber_ != detail::current_fiber || fiber_->scope != &node_)
        detail::fail_misuse(
            "weft::cancel_scope: left by another fiber than it was made on, or before a scope inside it");
    detail::leave_scope(node_);
}

void cancel_scope::require_own_worker(char const* function) const {
    if (fiber_->home != detail::this_worker)
        throw std::logic_error(
            std::string("weft::cancel_scope::") + function +
            ": called on another worker or thread than the scope's; weft::post a function there that calls it");
}

void cancel_scope::cancel(std::string reason) {
    require_own_worker("cancel");
    detail::cancel(node_, std::move(reason));
}

bool cancel_scope::cancel_called() const noexcept {
    return node_.cancelled || (node_.deadline != never && node_.deadline <= clock::now());
}

void cancel_scope::set_deadline(time_point deadline) {
    require_own_worker("set_deadline");
    node_.deadline = deadline;
    detail::scope_changed(node_);
}

void cancel_scope::shield(bool on) {
    require_own_worker("shield");
    node_.shielded = on;
    detail::scope_changed(node_);
}

bool cancel_scope::ends_here() const noexcept {
    return cancel_called() && (node_.shielded || detail::find_cancelled(node_.parent) == nullptr);
}

namespace this_fiber {

bool is_cancelled() noexcept {
    if (detail::current_fiber != nullptr)
        return detail::find_cancelled(detail::current_fiber->scope) != nullptr;
    detail::offloaded_task* const call = detail::current_offload;
    return call != nullptr && (call->stop().stop_requested() || call->deadline() <= clock::now());
}

void check_cancelled() {
    if (!is_cancelled() || std::uncaught_exceptions() != 0)
        return;
    if (detail::current_fiber != nullptr)
        detail::throw_cancelled();
    throw cancelled("the fiber that waits for this call was cancelled");
}

} // namespace this_fiber

} // namespace weft
