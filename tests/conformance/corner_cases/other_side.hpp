// other_side: a plain thread that acts while the case waits.
//
//     other_side const peer([&] {
//         until_case_waits();
//         send(...);
//     });
//     about_to_wait();
//     TELL(recv(...));
//
// It doesn't sleep and hope: it looks until the thread of the case sleeps in the kernel, which it does whether its call waits
// there or, under weft, its worker has nothing to run. Its own calls are libc's, as on every thread that runs no fibers.
//
// The thread blocks all signals. The destructor waits for its end, and calls nothing that weft patches.
#pragma once

#include <atomic>
#include <functional>

namespace corner {

class other_side {
public:
    explicit other_side(std::function<void()> act);
    other_side(other_side const&) = delete;
    other_side& operator=(other_side const&) = delete;
    ~other_side();

private:
    std::function<void()> act_;
    std::atomic<bool> done_{false};
};

// By the case, right before a call that is to wait.
void about_to_wait();

// By the other side: returns when the case waits, after it has said so once more than when this last returned.
void until_case_waits();

// The same for a call that goes on waiting, or doesn't: returns false if `returned` has become true.
bool until_case_waits_again(std::atomic<bool> const& returned);

// Whether the thread of the case waits, as far as one look tells. What runs the cases on fibers replaces it.
extern bool (*case_waits)();
bool case_thread_sleeps();

// By the other side, for what has no event to wait for.
void let_others_run();

} // namespace corner
