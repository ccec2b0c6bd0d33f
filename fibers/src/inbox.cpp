#include "inbox.hpp"

namespace weft::detail {

void inbox::push(inbox_message& message) noexcept {
    message.next = top_.load(std::memory_order_relaxed);
    while (!top_.compare_exchange_weak(message.next, &message, std::memory_order_seq_cst,
                                       std::memory_order_relaxed)) {
    }
}

void inbox::deliver() noexcept {
    if (top_.load(std::memory_order_relaxed) == nullptr)
        return;
    inbox_message* newest = top_.exchange(nullptr, std::memory_order_seq_cst);
    inbox_message* oldest = nullptr;
    while (newest != nullptr) {
        inbox_message* const next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != nullptr) {
        inbox_message& message = *oldest;
        oldest = message.next; // delivering may end the message's life
        message.deliver(message);
    }
}

} // namespace weft::detail
