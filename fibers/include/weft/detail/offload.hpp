// offload: lets another thread make a call that can't be waited for in any other way, while the calling fiber waits.
//
// The threads are the process's, at most 64; calls beyond that wait for one, in FIFO order. They block all signals, so that
// the program's handlers run on the program's own threads. One that has nothing to do for some seconds ends.
#pragma once

#include <array>
#include <cerrno>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

// Something for another thread to do.
struct pool_job {
    void (*make)(pool_job& self) noexcept = nullptr;
    pool_job* next = nullptr; // the pool's
};

// A call to be made; on the stack of the fiber that waits for it.
struct offloaded_call : pool_job {
    explicit offloaded_call(void (*function_)(offloaded_call& self) noexcept) noexcept
        : function(function_) {}

    void (*function)(offloaded_call& self) noexcept;
    fiber_core* fiber = nullptr;
};

// How many calls are out.
std::size_t offloaded_calls() noexcept;
void count_offloaded(int change) noexcept; // by who makes them in another way
void forget_offloaded() noexcept;          // in the child of a fork, where nobody makes them

// On a fiber: returns when `call` has been made. Nothing interrupts the wait, as the call can't be taken back.
void offload_call(offloaded_call& call, char const* operation) noexcept;

// As offload_call(), on a thread made for it: for calls that may wait for ever, of which a few could hold up all others. False if
// there is no thread to be had; nothing has happened then.
bool offload_call_alone(offloaded_call& call, char const* operation) noexcept;

// As offload_call_alone(), for a raw system call, which a signal's handler ends as signal(7) says: -1 with EINTR, if it was installed
// without SA_RESTART. On the calling thread, if there is no other to be had.
long offload_system_call(char const* operation, long number, std::array<long, 4> arguments) noexcept;

template <class F> struct offloaded_function final : offloaded_call {
    explicit offloaded_function(F& function_)
        : offloaded_call([](offloaded_call& self) noexcept {
              auto& mine = static_cast<offloaded_function&>(self);
              mine.value = mine.call();
              mine.error = errno;
          }),
          call(function_) {}

    // With the errno that the call has left.
    [[nodiscard]] auto result() const noexcept {
        errno = error;
        return value;
    }

    F& call;
    std::invoke_result_t<F&> value{};
    int error = 0;
};

// The result of function() and the errno that it left. `operation`: what the fiber waits in, a string literal.
template <class F> auto offload(char const* operation, F&& function) noexcept {
    offloaded_function<F> one(function);
    offload_call(one, operation);
    return one.result();
}

// The same by offload_call_alone(); on the calling thread, if there is no other to be had.
template <class F> auto offload_alone(char const* operation, F&& function) noexcept {
    offloaded_function<F> one(function);
    if (!offload_call_alone(one, operation))
        one.function(one);
    return one.result();
}

} // namespace weft::detail
