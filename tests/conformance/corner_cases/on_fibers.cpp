// Runs the cases that are named each on a spawned fiber, beside one that wakes all the time. Linked with weft::patch.
//
// The thread of the case is thus never asleep for long, and whether the case waits is asked of its fiber. A case that is known to
// keep the thread for itself (a lock on a file, without patch_options::files) shows in that nothing else goes on.
#include <unistd.h>

#include <atomic>
#include <vector>

#include <weft/detail/fiber_core.hpp>
#include <weft/fiber.hpp>
#include <weft/patch.hpp>
#include <weft/run.hpp>

#include "other_side.hpp"
#include "run_cases.hpp"

namespace {

std::atomic<weft::detail::fiber_core const*> fiber_of_the_case{nullptr};
std::atomic<unsigned> rounds{0}; // of the other fiber

bool fiber_waits() {
    // Where the thread is blocked, the other fiber's rounds end.
    thread_local unsigned seen = 0;
    thread_local unsigned looks = 0;
    constexpr unsigned looks_until_blocked = 200;
    unsigned const now = rounds;
    looks = now == seen ? looks + 1 : 0;
    seen = now;
    if (looks > looks_until_blocked)
        return corner::case_thread_sleeps();
    weft::detail::fiber_core const* const fiber = fiber_of_the_case;
    return fiber != nullptr && fiber->state == weft::detail::park_state::parked;
}

} // namespace

int main(int argc, char** argv) {
    weft::patch();
    corner::case_waits = fiber_waits;
    return weft::run([&] {
        std::atomic<bool> over{false};
        auto noise = weft::spawn([&over] {
            while (!over) {
                usleep(200);
                ++rounds;
            }
        });
        auto cases = weft::spawn([&] {
            fiber_of_the_case = weft::detail::current_fiber;
            return corner::run_cases({argv + 1, argv + argc});
        });
        int const result = cases.get();
        over = true;
        noise.get();
        return result;
    });
}
