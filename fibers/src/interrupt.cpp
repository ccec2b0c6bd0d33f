#include <cerrno>

#include <weft/detail/interrupt.hpp>

#include "worker.hpp"

namespace weft::detail {

__thread std::uint32_t volatile handled_signals = 0;
__thread bool in_signal_handler = false;

void signal_handled(bool restarts) noexcept {
    handled_signals = handled_signals + 1;
    if (this_worker == nullptr)
        return;
    int const error = errno;
    this_worker->interrupt(restarts);
    errno = error;
}

} // namespace weft::detail
