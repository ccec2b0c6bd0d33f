// offload: lets another thread make a call that can't be waited for in any other way, while the calling fiber waits.
//
// The threads are the process's, at most 64; calls beyond that wait for one, in FIFO order. They block all signals, so that
// the program's handlers run on the program's own threads. One that has nothing to do for some seconds ends.
#pragma once

#include <cerrno>
#include <type_traits>
#include <utility>

#include <weft/detail/fiber_core.hpp>

namespace weft::detail {

// A call to be made; on the stack of the fiber that waits for it.
struct offloaded_call {
    void (*make)(offloaded_call& self) noexcept;
    offloaded_call* next = nullptr;
    fiber_core* fiber = nullptr;
};

// On a fiber: returns when `call` has been made. Nothing interrupts the wait, as the call can't be taken back.
void offload_call(offloaded_call& call, char const* operation) noexcept;

// The result of function() and the errno that it left. `operation`: what the fiber waits in, a string literal.
template <class F> auto offload(char const* operation, F&& function) noexcept {
    using result = std::invoke_result_t<F&>;
    struct call final : offloaded_call {
        explicit call(F& function_)
            : offloaded_call{.make =
                                 [](offloaded_call& self) noexcept {
                                     auto& mine = static_cast<call&>(self);
                                     mine.value = mine.function();
                                     mine.error = errno;
                                 }},
              function(function_) {}

        F& function;
        result value{};
        int error = 0;
    } one(function);
    offload_call(one, operation);
    errno = one.error;
    return one.value;
}

} // namespace weft::detail
