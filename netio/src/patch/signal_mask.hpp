// scoped_signal_mask: the signal mask for the length of a wait, as ppoll(2) and its relatives take one, and as system(3) needs.
//
// Masks belong to threads, and the waits of several fibers of one worker may overlap, ending in any order. So the thread has the
// mask of the latest wait that still lasts; and with the last of them gone, the one that the program had set. What else
// runs on this worker meanwhile runs under the same mask.
#pragma once

#include <csignal>

namespace weft::detail {

class scoped_signal_mask {
public:
    // Null: nothing changes.
    explicit scoped_signal_mask(sigset_t const* mask) noexcept {
        if (mask != nullptr)
            begin(*mask);
    }
    scoped_signal_mask(scoped_signal_mask const&) = delete;
    scoped_signal_mask& operator=(scoped_signal_mask const&) = delete;
    ~scoped_signal_mask() {
        if (lasts_)
            end();
    }

private:
    void begin(sigset_t const& mask) noexcept;
    void end() noexcept;

    bool lasts_ = false;
    sigset_t mask_{}; // valid while it lasts, like the rest
    scoped_signal_mask* later_ = nullptr;
    scoped_signal_mask* earlier_ = nullptr;
};

// The mask that the program has set for this thread, whatever waits go on.
sigset_t program_signal_mask() noexcept;

} // namespace weft::detail
