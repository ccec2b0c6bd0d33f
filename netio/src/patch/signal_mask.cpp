#include "signal_mask.hpp"

#include <pthread.h>

namespace weft::detail {
namespace {

// Of this thread: the latest of the waits that last, and the mask from before the first.
__thread scoped_signal_mask* latest __attribute__((tls_model("initial-exec"))) = nullptr;
__thread sigset_t own_mask __attribute__((tls_model("initial-exec")));

void set_mask(sigset_t const& mask) noexcept { ::pthread_sigmask(SIG_SETMASK, &mask, nullptr); }

// In the child the other fibers, and with them their waits, are not.
[[gnu::constructor]] void watch_forks() {
    ::pthread_atfork(nullptr, nullptr, [] {
        if (latest == nullptr)
            return;
        latest = nullptr;
        set_mask(own_mask);
    });
}

} // namespace

void scoped_signal_mask::begin(sigset_t const& mask) noexcept {
    mask_ = mask;
    if (::pthread_sigmask(SIG_SETMASK, &mask_, latest == nullptr ? &own_mask : nullptr) != 0)
        return;
    earlier_ = latest;
    if (earlier_ != nullptr)
        earlier_->later_ = this;
    latest = this;
    lasts_ = true;
}

void scoped_signal_mask::end() noexcept {
    if (earlier_ != nullptr)
        earlier_->later_ = later_;
    if (later_ != nullptr) {
        later_->earlier_ = earlier_;
        return;
    }
    latest = earlier_;
    set_mask(latest != nullptr ? latest->mask_ : own_mask);
}

sigset_t program_signal_mask() noexcept {
    if (latest != nullptr)
        return own_mask;
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return mask;
}

} // namespace weft::detail
