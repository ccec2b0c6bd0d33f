// exit(3) and pthread_exit(3) on a fiber: see exit.hpp.
#include <pthread.h>
#include <threads.h>

#include <cstdint>
#include <cstdlib>

#include <weft/detail/exit.hpp>

#include "libc_function.hpp"

namespace {

constexpr weft::detail::libc_function<"exit", void(int)> libc_exit;
constexpr weft::detail::libc_function<"pthread_exit", void(void*)> libc_pthread_exit;

} // namespace

extern "C" {

void exit(int status) noexcept {
    if (weft::detail::on_spawned_fiber())
        weft::detail::exit_on_main(status);
    libc_exit(status);
    __builtin_unreachable();
}

// On main it is the thread's: libc unwinds the thread's own stack, and weft::run lets it pass once the other fibers have ended.
void pthread_exit(void* result) {
    if (weft::detail::on_spawned_fiber())
        throw weft::detail::fiber_exit();
    libc_pthread_exit(result);
    __builtin_unreachable();
}

void thrd_exit(int result) { pthread_exit(reinterpret_cast<void*>(static_cast<std::intptr_t>(result))); }

} // extern "C"
