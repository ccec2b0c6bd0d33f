#include <mutex>
#include <stdexcept>

#include <weft/detail/completion_wait.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/detail/worker_context.hpp>
#include <weft/engine.hpp>

namespace weft::detail {

bool completion_wait::try_add_reference() noexcept {
    std::scoped_lock const lock(lock_);
    if (references_ == 0)
        return false;
    ++references_;
    return true;
}

std::unique_lock<spinlock> completion_wait::hold() noexcept {
    std::unique_lock lock(lock_);
    if (references_ == 0)
        lock = {};
    return lock;
}

void completion_wait::release() noexcept {
    std::unique_lock lock(lock_);
    if (--references_ > 0)
        return;
    waiter* const claimed = waiting_ != nullptr && waiting_->claim() ? waiting_ : nullptr;
    lock.unlock();
    if (claimed != nullptr)
        claimed->deliver();
}

bool completion_wait::wait(char const* operation, cancellation cancels) noexcept {
    waiter self;
    std::unique_lock lock(lock_);
    if (references_ == 0)
        return true;
    self.begin();
    waiting_ = &self;
    lock.unlock();
    self.wait({operation}, never, cancels);
    lock.lock();
    waiting_ = nullptr;
    return references_ == 0;
}

cancellation begin_operation() {
    if (current_fiber == nullptr && calling_worker() != nullptr)
        throw std::logic_error(
            "weft::net::use_fiber: called by a worker's scheduler, which must not wait; spawn a fiber for it");
    if (current_fiber != nullptr && current_fiber == runner_of_worker_context())
        throw std::logic_error(
            "weft::net::use_fiber: called by a handler of io_context_for_this_worker, on the fiber that would "
            "have to complete the operation; spawn a fiber for it");
    throw_if_cancelled();
    return own_cancellation();
}

} // namespace weft::detail
