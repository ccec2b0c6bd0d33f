// scope: where cancellation lives. Scopes form a tree; each fiber has an innermost one, or none.
//
// A fiber is cancelled while a scope on its way outwards is: up to and including the first that is shielded. It is looked at when
// the fiber is about to wait, and when a scope that concerns a waiting fiber is cancelled or moves its deadline. So nothing of it is
// kept anywhere else, and a fiber without a scope pays one comparison a wait.
//
// Threads: a tree belongs to one worker.
#pragma once

#include <string>

#include <weft/clock.hpp>
#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

struct scope_node {
    scope_node* parent = nullptr;
    scope_node* first_child = nullptr;
    scope_node* next = nullptr; // of the same parent
    scope_node* previous = nullptr;
    fiber_core* first_member = nullptr; // fibers whose innermost scope this is
    time_point deadline = never;
    bool cancelled = false; // by a call; a deadline is compared with the clock
    bool shielded = false;
    std::string reason; // of a cancellation by a call
};

// What concerns a fiber: the innermost scope that is cancelled by a call, and the earliest deadline, with its scope.
struct scope_bounds {
    scope_node const* cancelled = nullptr;
    scope_node const* limiting = nullptr;
    time_point deadline = never;
};
scope_bounds bounds_of(scope_node const* innermost) noexcept;

// The scope by which a fiber with this innermost one is cancelled now; null if it isn't.
scope_node const* find_cancelled(scope_node const* innermost) noexcept;

// `node` becomes the calling fiber's innermost scope, until leave_scope(), which must come before the outer one's.
void enter_scope(scope_node& node) noexcept;
void leave_scope(scope_node& node) noexcept;

// A fiber that has no scope yet joins one, or leaves the one that it has: task groups.
void join_scope(fiber_core& fiber, scope_node& node) noexcept;
void part_from_scope(fiber_core& fiber) noexcept;

// In the child of a fork: of all fibers, `fiber` is left.
void keep_alone_in_scopes(fiber_core& fiber) noexcept;

// After a change of `node`: fibers below it that wait are woken, or wait until another time.
void scope_changed(scope_node& node) noexcept;

} // namespace weft::detail
