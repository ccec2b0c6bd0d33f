#include <pthread.h>
#include <sched.h>

#include <atomic>

#include <weft/detail/call_counts.hpp>
#include <weft/detail/helper_thread.hpp>
#include <weft/detail/offload.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/system_call.hpp>

// A thread makes the system call, and can be cancelled while it waits in the kernel. How it ends:
//   1. The call returns: its result is kept (`made`), the fiber is woken.
//   2. A handler wakes the fiber: it cancels the thread and waits for its end. If the call has returned meanwhile, that counts.
namespace weft::detail {
namespace {

constexpr std::size_t thread_stack = std::size_t{64} * 1024;

struct offloaded_call_state {
    long number;
    std::array<long, 4> arguments;
    fiber_core* fiber;
    long result = -1;
    int error = 0;
    bool made = false; // valid once ended, like the two above
    std::atomic<bool> ended{false};

    void end() noexcept {
        ended.store(true, std::memory_order_release);
        wake(*fiber, wake_cause::notified); // the thread is joined before the fiber waits for anything else
    }
};

// The thread can be cancelled at any instruction of it: which is why nothing happens in it but the call. AddressSanitizer must not
// mark its frame, as nobody would take the marks back.
[[gnu::noinline, gnu::no_sanitize("address")]] void call_cancellably(offloaded_call_state& call) {
    int type = 0;
    // NOLINTNEXTLINE(concurrency-thread-canceltype-asynchronous): for one system call, as libc's own cancellation points do
    ::pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
    call.result =
        system_call(call.number, call.arguments[0], call.arguments[1], call.arguments[2], call.arguments[3]);
    call.made = true;
    ::pthread_setcanceltype(type, nullptr);
    call.error = errno;
}

struct ends_in_any_case {
    explicit ends_in_any_case(offloaded_call_state& call_) noexcept : call(call_) {}
    ends_in_any_case(ends_in_any_case const&) = delete;
    ends_in_any_case& operator=(ends_in_any_case const&) = delete;
    ~ends_in_any_case() { call.end(); }

    offloaded_call_state& call;
};

void* make_call(void* argument) {
    auto& call = *static_cast<offloaded_call_state*>(argument);
    ends_in_any_case const end(call);
    call_cancellably(call);
    return nullptr;
}

void wait_for_the_end(offloaded_call_state const& call, char const* operation) noexcept {
    while (!call.ended.load(std::memory_order_acquire)) {
        begin_park(*call.fiber);
        if (!call.ended.load(std::memory_order_acquire) || !cancel_park(*call.fiber))
            park({operation}, never);
    }
}

} // namespace

long offload_system_call(char const* operation, long number, std::array<long, 4> arguments) noexcept {
    offloaded_call_state call{.number = number, .arguments = arguments, .fiber = current_fiber};
    pthread_t thread{};
    begin_park(*call.fiber);
    if (!start_helper(thread, make_call, &call, thread_stack) && cancel_park(*call.fiber))
        return system_call(number, arguments[0], arguments[1], arguments[2], arguments[3]);
    ++thread_counts.offloaded;
    wake_cause const cause = park({operation}, never, interruption::unless_restarted);
    if (cause != wake_cause::notified)
        ::pthread_cancel(thread);
    wait_for_the_end(call, operation);
    while (::pthread_tryjoin_np(thread, nullptr) == EBUSY) // a matter of moments
        ::sched_yield();
    errno = call.made ? call.error : cause == wake_cause::cancelled ? ECANCELED : EINTR;
    return call.result;
}

} // namespace weft::detail
