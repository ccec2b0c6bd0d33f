#include <linux/membarrier.h>
#include <sys/syscall.h>

#include <weft/detail/biased_lock.hpp>
#include <weft/detail/system_call.hpp>

namespace weft::detail {
namespace {

// An address that is no worker's.
worker const* shared() noexcept {
    static char const place = 0;
    return reinterpret_cast<worker const*>(&place);
}

int membarrier(int command) noexcept { return static_cast<int>(system_call(SYS_membarrier, command, 0, 0)); }

// Where the kernel can't do it, nobody is favoured.
bool can_end_favour() noexcept {
    static bool const can = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
    return can;
}

} // namespace

void biased_lock::lock_slowly(worker const* self) noexcept {
    worker const* favoured = nullptr;
    worker const* const first = self != nullptr && can_end_favour() ? self : shared();
    if (favoured_.compare_exchange_strong(favoured, first, std::memory_order_acq_rel) && first == self) {
        lock();
        return;
    }
    taken_.lock();
    favoured = favoured_.load(std::memory_order_relaxed);
    if (favoured != shared()) {
        favoured_.store(shared(), std::memory_order_seq_cst);
        membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
        while (inside_.load(std::memory_order_acquire))
            system_call(SYS_sched_yield); // not sched_yield(): patched, it would switch fibers
    }
    by_favour_ = false;
}

} // namespace weft::detail
