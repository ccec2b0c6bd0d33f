// once: runs a function once, however many fibers and threads ask for it. As std::call_once.
//
//     weft::once loaded;
//     ...
//     loaded.call([&] { table = load(); }); // whoever comes meanwhile waits until it has returned
//
// If the function throws, whoever ran it gets the exception, and the next one that asks, or waits, runs its own.
//
// Must outlive every call of its members: who has run the function may still be in there when others have seen that it is done.
#pragma once

#include <atomic>
#include <mutex>
#include <utility>

#include <weft/mutex.hpp>

namespace weft {

class once {
public:
    // `name`: for messages and reports; a string literal.
    explicit once(char const* name = "") noexcept : mutex_(name) {}

    // Returns when the function has been run. Throws what it throws, and, while it waits for another, weft::cancelled.
    // std::system_error (resource_deadlock_would_occur) if the function itself asks.
    template <class F> void call(F&& function) {
        if (done_.load(std::memory_order_acquire))
            return;
        std::scoped_lock const lock(mutex_);
        if (done_.load(std::memory_order_relaxed))
            return;
        std::forward<F>(function)();
        done_.store(true, std::memory_order_release);
    }

    // Whether it has been run.
    [[nodiscard]] bool done() const noexcept { return done_.load(std::memory_order_acquire); }

private:
    mutex mutex_;
    std::atomic<bool> done_{false};
};

} // namespace weft
