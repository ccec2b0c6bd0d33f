#include <weft/cancel_scope.hpp>
#include <weft/detail/own_wait.hpp>

namespace weft::detail {

void throw_cancelled() {
    scope_node const* const by = end_by_cancelled(current_fiber->scope);
    throw cancelled(by != nullptr && !by->reason.empty() ? by->reason : "the deadline has passed");
}

bool own_wait(wait_list& list, waiter& self, std::unique_lock<biased_lock>& lock, wait_reason reason,
              time_point deadline, claimed_waiters const& woken) {
    wake_cause const cause = list.wait(self, lock, reason, deadline, own_cancellation(), woken);
    if (cause == wake_cause::cancelled)
        throw_cancelled();
    return cause == wake_cause::notified;
}

bool own_wait(wait_list& list, std::unique_lock<biased_lock>& lock, wait_reason reason, time_point deadline) {
    waiter self;
    return own_wait(list, self, lock, reason, deadline);
}

} // namespace weft::detail
