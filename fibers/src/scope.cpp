#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include <weft/detail/misuse.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/scope.hpp>

#include "worker.hpp"

namespace weft::detail {
namespace {

void link_member(fiber_core& fiber, scope_node& node) noexcept {
    fiber.scope = &node;
    fiber.previous_member = nullptr;
    fiber.next_member = node.first_member;
    if (node.first_member != nullptr)
        node.first_member->previous_member = &fiber;
    node.first_member = &fiber;
}

void unlink_member(fiber_core& fiber) noexcept {
    (fiber.previous_member != nullptr ? fiber.previous_member->next_member : fiber.scope->first_member) =
        fiber.next_member;
    if (fiber.next_member != nullptr)
        fiber.next_member->previous_member = fiber.previous_member;
    fiber.scope = nullptr;
}

// A fiber that waits: looks for it, as it would itself.
void look_again(fiber_core& fiber) noexcept {
    if (fiber.state.load(std::memory_order_relaxed) != park_state::parked ||
        fiber.cancels != cancellation::heeded)
        return;
    scope_bounds const bounds = bounds_of(fiber.scope);
    if (bounds.cancelled != nullptr) {
        wake(fiber, wake_cause::cancelled);
        return;
    }
    fiber.timer.deadline = std::min(fiber.call_deadline, bounds.deadline);
    fiber.home->arm_timer(fiber.timer);
}

} // namespace

scope_bounds bounds_of(scope_node* innermost) noexcept {
    scope_bounds bounds;
    for (scope_node* each = innermost; each != nullptr; each = each->parent) {
        if (each->cancelled && bounds.cancelled == nullptr)
            bounds.cancelled = each;
        if (each->deadline < bounds.deadline) {
            bounds.deadline = each->deadline;
            bounds.limiting = each;
        }
        if (each->shielded)
            break;
    }
    return bounds;
}

scope_node* find_cancelled(scope_node* innermost) noexcept {
    if (innermost == nullptr)
        return nullptr;
    scope_bounds const bounds = bounds_of(innermost);
    if (bounds.cancelled != nullptr)
        return bounds.cancelled;
    return bounds.deadline != never && bounds.deadline <= clock::now() ? bounds.limiting : nullptr;
}

scope_node* end_by_cancelled(scope_node* innermost) noexcept {
    scope_node* const by = find_cancelled(innermost);
    if (by != nullptr && !by->cancelled)
        cancel(*by, {});
    return by;
}

void put_inside(scope_node& node, scope_node& parent) noexcept {
    node.parent = &parent;
    node.previous = nullptr;
    node.next = parent.first_child;
    if (node.next != nullptr)
        node.next->previous = &node;
    parent.first_child = &node;
}

void take_out(scope_node& node) noexcept {
    (node.previous != nullptr ? node.previous->next : node.parent->first_child) = node.next;
    if (node.next != nullptr)
        node.next->previous = node.previous;
}

void enter_scope(scope_node& node) noexcept {
    fiber_core& self = *current_fiber;
    if (self.scope != nullptr) {
        put_inside(node, *self.scope);
        unlink_member(self);
    }
    link_member(self, node);
}

void move_into(scope_node& node) noexcept {
    unlink_member(*current_fiber);
    link_member(*current_fiber, node);
}

void leave_scope(scope_node& node) noexcept {
    fiber_core& self = *current_fiber;
    if (node.first_child != nullptr)
        fail_misuse("weft::cancel_scope: left before a task group that was made in it");
    unlink_member(self);
    if (node.parent == nullptr)
        return;
    take_out(node);
    link_member(self, *node.parent);
}

void join_scope(fiber_core& fiber, scope_node& node) noexcept { link_member(fiber, node); }

void part_from_scopes(fiber_core& fiber) noexcept {
    if (fiber.scope != nullptr)
        unlink_member(fiber);
    fiber.base_scope = nullptr; // the group may end now
    if (fiber.own_scope == nullptr)
        return;
    if (fiber.own_scope->parent != nullptr)
        take_out(*fiber.own_scope);
    delete std::exchange(fiber.own_scope, nullptr);
}

scope_node& own_scope_of(fiber_core& fiber) {
    if (fiber.own_scope != nullptr)
        return *fiber.own_scope;
    auto* const own = new scope_node;
    fiber.own_scope = own;
    scope_node* outermost = fiber.scope; // of those that it made
    while (outermost != fiber.base_scope && outermost->parent != fiber.base_scope)
        outermost = outermost->parent;
    if (fiber.base_scope != nullptr)
        put_inside(*own, *fiber.base_scope);
    if (outermost == fiber.base_scope) {
        if (fiber.scope != nullptr)
            unlink_member(fiber);
        link_member(fiber, *own);
    } else {
        if (outermost->parent != nullptr)
            take_out(*outermost);
        put_inside(*outermost, *own);
    }
    return *own;
}

void cancel(scope_node& node, std::string reason) {
    if (node.cancelled)
        return;
    node.cancelled = true;
    node.reason = std::move(reason);
    scope_changed(node);
}

namespace {

struct cancel_message : inbox_message {
    cancel_message(fiber_core& fiber_, std::string reason_) : fiber(fiber_), reason(std::move(reason_)) {
        add_reference(fiber);
        deliver = [](inbox_message& message) noexcept {
            auto* const self = static_cast<cancel_message*>(&message);
            if (!self->fiber.done)
                cancel(own_scope_of(self->fiber), std::move(self->reason));
            release_reference(self->fiber);
            delete self;
        };
    }

    fiber_core& fiber;
    std::string reason;
};

} // namespace

void cancel_fiber(fiber_core& fiber, std::string reason) {
    if (this_worker != nullptr && this_worker->owns(*fiber.stack.pool)) {
        if (!fiber.done)
            cancel(own_scope_of(fiber), std::move(reason));
        return;
    }
    auto message = std::make_unique<cancel_message>(fiber, std::move(reason));
    std::unique_lock lock(fiber.lock);
    if (fiber.done) {
        lock.unlock();
        release_reference(fiber);
        return;
    }
    // Home can't end before it has got the message.
    worker::posting const posting(*fiber.home);
    lock.unlock();
    posting.post(*message.release());
}

void keep_alone_in_scopes(fiber_core& fiber) noexcept {
    scope_node* inner = nullptr;
    for (scope_node* each = fiber.scope; each != nullptr; each = each->parent) {
        each->first_member = nullptr;
        each->first_child = inner;
        each->next = each->previous = nullptr;
        inner = each;
    }
    if (fiber.scope != nullptr)
        link_member(fiber, *fiber.scope);
}

void scope_changed(scope_node& node) noexcept {
    // Waking makes fibers ready, and runs none: the lists stay as they are.
    for (fiber_core* each = node.first_member; each != nullptr; each = each->next_member)
        look_again(*each);
    for (scope_node* each = node.first_child; each != nullptr; each = each->next)
        if (!each->shielded)
            scope_changed(*each);
}

} // namespace weft::detail
