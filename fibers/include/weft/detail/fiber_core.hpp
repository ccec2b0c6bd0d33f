// fiber_core: what the runtime knows of one fiber.
//
// It lies at the top of the fiber's own stack, with the function and its result (task.hpp) right behind it, so a spawn allocates
// nothing beside the stack. It stays valid until the last reference is gone: one is the running fiber's, one the handle's.
//
// A fiber whose function has ended is *at rest*: its stack, its context and its fiber_core are kept for the next spawn, which then
// costs no more than filling in the fields of a life. So a fiber_core has many lives, each with an id of its own.
//
// Threads: fields belong to the fiber's home worker unless they say otherwise. A fiber never leaves its worker.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string_view>

#include <weft/clock.hpp>
#include <weft/detail/biased_lock.hpp>
#include <weft/detail/timer_node.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/detail/wait_reason.hpp>
#include <weft/source_location.hpp>

namespace boost::fibers {
class context;
}

namespace weft::detail {

class worker;
class stack_pool;
struct fiber_core;
struct scope_node;
struct task_outcome;
struct done_callback;
struct fiber_locals;
struct no_switch_region;

// A unit of work handed to a worker from any thread; lives until `deliver` has been called, on the worker's
// thread but on no fiber.
struct inbox_message {
    inbox_message* next = nullptr;
    void (*deliver)(inbox_message& message) noexcept = nullptr;
};

// A fiber is `parked` from begin_park() until one waker has won the exchange to `woken`; see park.hpp.
enum class park_state : std::uint8_t { running, parked, woken };

// The C++ runtime's per-thread exception state, as laid out by the Itanium ABI's __cxa_eh_globals.
struct exception_state {
    void* caught = nullptr;
    unsigned int uncaught = 0;
};

// The usable part of a fiber's stack: [low, low + size); the guard is right below `low`.
struct stack_memory {
    stack_pool* pool = nullptr; // null: not ours (a thread's own stack)
    char* low = nullptr;
    std::size_t size = 0;
};

// What another library keeps per thread, and is to keep per fiber: see switch_exchange.hpp. Null in a fiber that begins.
using library_state = std::array<void*, 3>;

// What is done with the function behind a fiber_core, whose type only its spawn knew.
struct task_type {
    void (*run)(fiber_core& fiber) noexcept;     // calls the function, keeps its result
    void (*destroy)(fiber_core& fiber) noexcept; // ends the task's lifetime
};

// Who is told when a fiber has ended, on its worker: a task group.
struct end_observer {
    void (*ended)(end_observer& self, fiber_core& fiber) noexcept;
};

// How a life ended.
enum class fiber_end : std::uint8_t { returned, failed, cancelled };

struct fiber_core {
    static constexpr std::size_t name_capacity = 32;

    // -- the first cache line: what every switch and wake touches --
    alignas(64) fiber_core* next_ready = nullptr; // valid while in the ready queue
    boost::fibers::context* context = nullptr;
    worker* home = nullptr;           // set once, before the fiber can run
    char const* frame = nullptr;      // valid while switched out: the innermost of its frames that is ours
    exception_state saved_exceptions; // valid while switched out
    int saved_errno = 0;              // valid while switched out
    std::uint32_t calls_since_switch = 0;               // patched calls that succeeded without waiting
    std::atomic<park_state> state{park_state::running}; // any thread; the one word that wakers race for
    wake_cause cause = wake_cause::notified;            // written by the winner of that race
    interruption interruptible = interruption::none;    // of the present park
    bool sanitizer_pending = false; // a switch to this fiber that AddressSanitizer hasn't been told is over
    int lock_owner = 0;             // who it is to locks that know their owner; see lock_owner.hpp

    // -- waiting --
    wait_reason reason; // valid while parked
    timer_node timer;   // of the present park: the call's deadline, or that of a scope around it
    time_point call_deadline = never;  // the call's
    scope_node* scope = nullptr;       // the innermost; see scope.hpp
    fiber_core* next_member = nullptr; // of that scope
    fiber_core* previous_member = nullptr;
    void* sanitizer_stack = nullptr; // AddressSanitizer's fake stack while switched out
    library_state saved_library{};   // valid while switched out

    std::uint16_t uncancellable = 0;              // > 0: weft's own calls ignore cancellation
    cancellation cancels = cancellation::ignored; // of the present park
    bool daemon = false;
    std::atomic<std::uint32_t> references{1};    // any thread; of the present life
    no_switch_region const* no_switch = nullptr; // the innermost that it is in

    // -- a life: from a spawn until nobody refers to it --
    biased_lock lock;                        // guards the fields that say so
    bool done = false;                       // any thread, under `lock`
    fiber_end end = fiber_end::returned;     // valid once done
    bool detached = false;                   // under `lock`: no handle will ask for the result
    bool stop_requested = false;             // any thread, under `lock`
    std::uint32_t room = 0;                  // bytes for a task; of all lives
    wait_list joiners;                       // any thread, under `lock`
    done_callback* callbacks = nullptr;      // any thread, under `lock`
    std::stop_source stop{std::nostopstate}; // any thread, under `lock`; has a state once it was asked for
    std::uint64_t id = 0;
    std::uint64_t parent = 0;         // the spawner's id; 0: none
    source_location site;             // of the spawn
    scope_node* base_scope = nullptr; // where it was spawned into: a task group's
    scope_node* own_scope = nullptr;  // around all of its life; made when it is needed, see cancel_fiber()
    end_observer* observer = nullptr;
    fiber_locals* locals = nullptr;
    fiber_core* next_live = nullptr; // of the list of the worker's that it is in, if any
    fiber_core* previous_live = nullptr;
    task_type const* type = nullptr;
    task_outcome* task = nullptr;  // behind this
    char name[name_capacity] = {}; // terminated; longer names are cut

    // -- all lives: the stack and the context that they run on --
    inbox_message remote_wake; // queued in home's inbox by the one waker that won, if on another thread
    stack_memory stack;
    bool reusable = false;      // of the usual sizes: may come to rest
    bool context_alive = false; // written under `lock`
    bool held = false;          // in the worker's list of ended fibers that a handle still refers to
    bool idle = false;          // the life is over
    bool context_ends = false;  // it won't be switched to again

    fiber_core() = default;
    fiber_core(fiber_core const&) = delete;
    fiber_core& operator=(fiber_core const&) = delete;
    ~fiber_core() = default;
};

static_assert(offsetof(fiber_core, lock_owner) + sizeof(fiber_core::lock_owner) <= 64,
              "what every switch touches lies in one cache line");

// The fiber that runs on this thread. Null on a thread that is no worker, and while a worker's scheduler runs:
// there, a call that would wait must block. Initial-exec, so that a patched call reads it in one instruction.
extern __thread fiber_core* current_fiber __attribute__((tls_model("initial-exec")));

void set_name(fiber_core& fiber, std::string_view name) noexcept;

// The fiber whose `remote_wake` it is.
fiber_core& fiber_of(inbox_message& message) noexcept;

// Of the present life. Any thread. The last one destroys the task, and the stack serves another.
void add_reference(fiber_core& fiber) noexcept;
void release_reference(fiber_core& fiber) noexcept;

} // namespace weft::detail
