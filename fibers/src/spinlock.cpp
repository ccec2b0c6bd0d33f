#include <weft/detail/spinlock.hpp>
#include <weft/detail/system_call.hpp>

namespace weft::detail {

void spinlock::wait() const noexcept {
    constexpr int spins = 100;
    for (int i = 0; i < spins; ++i) {
        if (!taken_.load(std::memory_order_relaxed))
            return;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }
    // The holder was preempted. Not sched_yield(): patched, it would switch fibers.
    system_call(SYS_sched_yield);
}

} // namespace weft::detail
