// fiber_core: what the runtime knows of one fiber.
//
// It lies at the top of the fiber's own stack, so a spawn allocates nothing beside the stack, and it stays valid
// until the last reference is gone: one is the running fiber's, one the fiber<R> handle's. The result lives right
// behind it (see task.hpp), which is why the stack is kept that long too.
//
// Threads: fields belong to the fiber's home worker unless they say otherwise. A fiber never leaves its worker.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <weft/clock.hpp>
#include <weft/detail/spinlock.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/detail/wait_reason.hpp>

namespace boost::fibers {
class context;
}

namespace weft::detail {

class worker;
class stack_pool;
struct fiber_core;
struct scope_node;

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
    cancellation cancels = cancellation::ignored; // of the present park
    wait_reason reason;                           // valid while parked
    time_point deadline = never;       // of the present park: the call's, or that of a scope around it
    time_point call_deadline = never;  // the call's
    scope_node* scope = nullptr;       // the innermost; see scope.hpp
    fiber_core* next_member = nullptr; // of that scope
    fiber_core* previous_member = nullptr;
    time_point timer_due = never;    // where the fiber's timer sits in the timer queue
    std::size_t timer_slot = 0;      // valid while timer_due != never
    void* sanitizer_stack = nullptr; // AddressSanitizer's fake stack while switched out

    // -- the rest of a life --
    inbox_message remote_wake; // queued in home's inbox by the one waker that won, if on another thread
    spinlock lock;             // guards `done` and `joiners`
    bool done = false;         // any thread, under `lock`
    bool failed = false;       // valid once done: the body ended by an exception
    bool detached = false;     // under `lock`: no handle will ask for the result
    wait_list joiners;         // any thread, under `lock`
    std::atomic<std::uint32_t> references{1};
    std::uint64_t id = 0;
    fiber_core* next_live = nullptr; // of the worker's fibers whose body has not returned, oldest first
    fiber_core* previous_live = nullptr;
    void (*body)(fiber_core&) noexcept = nullptr;    // runs the user's function, keeps its result
    void (*destroy)(fiber_core&) noexcept = nullptr; // ends the lifetime of the enclosing task
    // tells of an exception that nobody will get
    void (*report_failure)(fiber_core const&) noexcept = nullptr;
    stack_memory stack;
    char name[name_capacity] = {}; // terminated; longer names are cut

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

void add_reference(fiber_core& fiber) noexcept;

// Any thread. The last one destroys the task and gives back the stack.
void release_reference(fiber_core& fiber) noexcept;

} // namespace weft::detail
