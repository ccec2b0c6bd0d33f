#include <limits>

#include <weft/detail/wait_list.hpp>
#include <weft/detail/waiter.hpp>

namespace weft::detail {

constinit std::uint32_t wait_list::forks = 0;

void wait_list::push_back(waiter& w) noexcept {
    if (empty()) {
        head_ = tail_ = nullptr;
        forks_ = forks;
    }
    w.previous = tail_;
    w.next = nullptr;
    (tail_ != nullptr ? tail_->next : head_) = &w;
    tail_ = &w;
    w.linked = true;
}

void wait_list::unlink(waiter& w) noexcept {
    (w.previous != nullptr ? w.previous->next : head_) = w.next;
    (w.next != nullptr ? w.next->previous : tail_) = w.previous;
    w.linked = false;
}

void wait_list::erase(waiter& w) noexcept {
    if (w.linked)
        unlink(w);
}

waiter* wait_list::claim_first() noexcept {
    while (!empty()) {
        waiter& first = *head_;
        unlink(first);
        if (first.claim())
            return &first;
    }
    return nullptr;
}

claimed_waiters wait_list::claim_all() noexcept { return claim(std::numeric_limits<std::ptrdiff_t>::max()); }

claimed_waiters wait_list::claim(std::ptrdiff_t most) noexcept {
    claimed_waiters all;
    while (all.count < most) {
        waiter* const first = claim_first();
        if (first == nullptr)
            break;
        all.add(*first);
    }
    return all;
}

void claimed_waiters::add(waiter& one) noexcept {
    one.next = nullptr;
    (last != nullptr ? last->next : first) = &one;
    last = &one;
    ++count;
}

void claimed_waiters::deliver() const noexcept {
    for (waiter* each = first; each != nullptr;) {
        waiter* const next = each->next;
        each->deliver();
        each = next;
    }
}

wake_cause wait_list::wait(std::unique_lock<biased_lock>& lock, wait_reason reason, time_point deadline,
                           cancellation cancels) noexcept {
    waiter self;
    return wait(self, lock, reason, deadline, cancels);
}

wake_cause wait_list::wait(waiter& self, std::unique_lock<biased_lock>& lock, wait_reason reason,
                           time_point deadline, cancellation cancels, claimed_waiters const& woken) noexcept {
    self.begin();
    push_back(self);
    lock.unlock();
    woken.deliver();
    wake_cause const cause = self.wait(reason, deadline, cancels);
    if (cause != wake_cause::notified) {
        lock.lock();
        erase(self);
        lock.unlock();
    }
    return cause;
}

} // namespace weft::detail
