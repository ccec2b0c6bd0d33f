// scoped_signal_mask: the signal mask for the length of a wait, as ppoll(2) and its relatives take one.
//
// Masks belong to threads. What else runs on this worker meanwhile runs under the same mask.
#pragma once

#include <csignal>

namespace weft::detail {

class scoped_signal_mask {
public:
    // Null: nothing changes.
    explicit scoped_signal_mask(sigset_t const* mask) noexcept
        : set_(mask != nullptr && ::pthread_sigmask(SIG_SETMASK, mask, &previous_) == 0) {}
    scoped_signal_mask(scoped_signal_mask const&) = delete;
    scoped_signal_mask& operator=(scoped_signal_mask const&) = delete;
    ~scoped_signal_mask() {
        if (set_)
            ::pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
    }

private:
    sigset_t previous_{};
    bool set_;
};

} // namespace weft::detail
