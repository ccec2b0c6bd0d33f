// fiber<R> and spawn: a function that runs concurrently with its caller, on the caller's worker.
//
// Fibers of one worker take turns: one runs until it waits (patched calls, weft's own calls), yields or ends. Between
// two such points nothing else runs on that worker, so data that only its fibers touch needs no lock there.
//
// fiber<R> is the handle that spawn returns, shaped like std::jthread: destroying it asks the fiber to stop, and joins;
// detach() is explicit. What every handle can do is in fiber_handle.hpp.
#pragma once

#include <exception>
#include <type_traits>
#include <utility>

#include <weft/detail/task.hpp>
#include <weft/fiber_handle.hpp>
#include <weft/result.hpp>
#include <weft/source_location.hpp>
#include <weft/spawn_options.hpp>

namespace weft {

// Destroying a handle that nobody kept would join at once, which is hardly meant: keep it, or call detach().
template <class R = void> class [[nodiscard]] fiber : public fiber_handle {
public:
    using result_type = R;

    fiber() noexcept : fiber_handle(nullptr) {} // refers to no fiber
    fiber(fiber&& other) noexcept = default;

    // Ends the fiber that the target referred to, as the destructor does.
    fiber& operator=(fiber&& other) noexcept {
        if (this != &other) {
            stop_and_join();
            core_ = std::exchange(other.core_, nullptr);
        }
        return *this;
    }

    // Requests stop, and joins. This wait can't be cancelled; but if the calling fiber is, or becomes so meanwhile, then the other one
    // is cancelled, too, so that nothing hangs. An exception that ended the fiber, and that get() did not take, goes to
    // run_options::on_unhandled.
    ~fiber() { stop_and_join(); }

    // join(), then the fiber's result, or its exception thrown: fiber_cancelled, if it was cancelled. Once only: the handle refers to
    // no fiber afterwards. If the caller is cancelled while it waits, that is weft::cancelled, and the handle stays.
    R get() {
        return take<R>("get", [](detail::task_result<R>& task) -> R {
            if (task.failure)
                std::rethrow_exception(std::exchange(task.failure, nullptr));
            return task.take();
        });
    }

    // As get(), but what the fiber threw is not thrown: it is in the result.
    result<R> try_get() {
        return take<R>("try_get", [](detail::task_result<R>& task) {
            if (task.failure)
                return result<R>(std::exchange(task.failure, nullptr));
            if constexpr (std::is_void_v<R>)
                return result<R>(std::in_place);
            else
                return result<R>(std::in_place, task.take());
        });
    }

    // Lets the fiber go on by itself: nobody waits for it but weft::run.
    void detach() { fiber_handle::detach(); }

private:
    template <class F> friend auto spawn(spawn_options const& options, F&& function, source_location site);

    explicit fiber(detail::fiber_core* core) noexcept : fiber_handle(core) {}
};

// Starts `function` as a new fiber of the calling fiber's worker; it first runs when the caller waits or yields. A function that takes a
// std::stop_token is given the fiber's. Returns fiber<R>, where R is what the function returns. Throws std::logic_error
// outside weft::run, std::system_error if there is no memory for a stack; whatever moving `function` throws.
template <class F>
auto spawn(spawn_options const& options, F&& function, source_location site = source_location::current()) {
    return fiber<detail::call_result<std::decay_t<F>>>(
        detail::start(options, std::forward<F>(function), {.site = site}));
}

template <class F> auto spawn(F&& function, source_location site = source_location::current()) {
    return spawn(spawn_options{}, std::forward<F>(function), site);
}

} // namespace weft
