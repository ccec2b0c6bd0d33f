// scope: where cancellation lives. Scopes form a tree; each fiber has an innermost one, or none.
//
// A fiber is cancelled while a scope on its way outwards is: up to and including the first that is shielded. It is looked at when
// the fiber is about to wait, and when a scope that concerns a waiting fiber is cancelled or moves its deadline. So nothing of it is
// kept anywhere else, and a fiber without a scope pays one comparison a wait.
//
// Around the scopes that a fiber makes lies what it was spawned into (a task group's scope, or nothing), and between the two, if somebody
// cancels the fiber as such, a scope of its own.
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
    bool cancelled =
        false; // by a call, or by a deadline that has ended a wait; else a deadline is compared with the clock
    bool shielded = false;
    bool failed_calls = false; // patched calls have ended by ECANCELED because of it
    std::string reason;        // of a cancellation by a call; empty: the deadline
};

// What concerns a fiber: the innermost scope that is cancelled by a call, and the earliest deadline, with its scope.
struct scope_bounds {
    scope_node* cancelled = nullptr;
    scope_node* limiting = nullptr;
    time_point deadline = never;
};
scope_bounds bounds_of(scope_node* innermost) noexcept;

// The scope by which a fiber with this innermost one is cancelled now; null if it isn't.
scope_node* find_cancelled(scope_node* innermost) noexcept;

// The same, by who is about to end a call because of it. A deadline that has done so has cancelled its scope for good: moving it afterwards
// must not make that call's end a riddle.
scope_node* end_by_cancelled(scope_node* innermost) noexcept;

// `node` becomes the calling fiber's innermost scope, until leave_scope(), which must come before the outer one's.
void enter_scope(scope_node& node) noexcept;
void leave_scope(scope_node& node) noexcept;

// `node` becomes a child of `parent`, with no fiber in it yet, until take_out(): a task group's.
void put_inside(scope_node& node, scope_node& parent) noexcept;
void take_out(scope_node& node) noexcept;

// The calling fiber's innermost scope is `node` from now on, which is next to its present one in the tree.
void move_into(scope_node& node) noexcept;

// A fiber that is about to begin belongs to `node`: where it was spawned into.
void join_scope(fiber_core& fiber, scope_node& node) noexcept;

// A fiber ends: it leaves that scope, and the one of its own.
void part_from_scopes(fiber_core& fiber) noexcept;

// The scope around all that the fiber does from now on, other than the one it was spawned into. Made when it is first asked for; throws
// std::bad_alloc. On the fiber's worker, as long as it hasn't ended.
scope_node& own_scope_of(fiber_core& fiber);

// Cancels that scope, from any thread. Nothing if the fiber has ended. Throws std::bad_alloc.
void cancel_fiber(fiber_core& fiber, std::string reason);

// Cancels `node`, on its worker; the first reason stays.
void cancel(scope_node& node, std::string reason);

// In the child of a fork: of all fibers, `fiber` is left.
void keep_alone_in_scopes(fiber_core& fiber) noexcept;

// After a change of `node`: fibers below it that wait are woken, or wait until another time.
void scope_changed(scope_node& node) noexcept;

} // namespace weft::detail
