// fiber<R> and spawn: a function that runs concurrently with its caller, on the caller's worker.
//
// Fibers of one worker take turns: one runs until it waits (patched calls, weft's own calls), yields or ends. Between
// two such points nothing else runs on that worker, so data that only its fibers touch needs no lock there.
//
// fiber<R> is the handle, shaped like std::jthread: destroying it joins; detach() is explicit. A handle may be moved
// to, and used by, any thread, one at a time; waiting works on fibers and on plain threads.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <weft/detail/own_wait.hpp>
#include <weft/detail/task.hpp>
#include <weft/spawn_options.hpp>

namespace weft {

// Destroying a handle that nobody kept would join at once, which is hardly meant: keep it, or call detach().
template <class R = void> class [[nodiscard]] fiber {
public:
    fiber() noexcept = default; // refers to no fiber
    fiber(fiber&& other) noexcept : task_(std::exchange(other.task_, nullptr)) {}

    // Joins the fiber that the target referred to.
    fiber& operator=(fiber&& other) noexcept {
        if (this != &other) {
            finish();
            task_ = std::exchange(other.task_, nullptr);
        }
        return *this;
    }

    // Joins. An exception that ended the fiber, and that get() did not take, goes to run_options::on_unhandled.
    ~fiber() { finish(); }

    // Whether there is a fiber that can be joined.
    [[nodiscard]] bool joinable() const noexcept { return task_ != nullptr; }

    // Waits until the fiber has ended. An exception that ended it stays there for get(). The handle still refers to the
    // fiber. Throws std::system_error (resource_deadlock_would_occur) on the fiber itself; weft::cancelled, if the caller is.
    void join() { detail::join(*task_, detail::begin_own_wait()); }

    // join(), then the fiber's result, or its exception thrown. Once only: the handle refers to no fiber afterwards.
    R get() {
        detail::join(*task_, detail::begin_own_wait());
        fiber const taken(std::move(*this));
        return taken.task_->take();
    }

    // Lets the fiber go on by itself: nobody waits for it but weft::run.
    void detach() noexcept {
        detail::detach(*task_);
        detail::release_reference(*std::exchange(task_, nullptr));
    }

    // A number that no other fiber of the process has; 0 if there is no fiber.
    [[nodiscard]] std::uint64_t id() const noexcept { return task_ != nullptr ? task_->id : 0; }
    [[nodiscard]] std::string_view name() const noexcept {
        return task_ != nullptr ? std::string_view(task_->name) : std::string_view();
    }

private:
    template <class F> friend auto spawn(spawn_options const& options, F&& function);

    explicit fiber(detail::task_result<R>* task) noexcept : task_(task) {}

    void finish() noexcept {
        if (task_ == nullptr)
            return;
        detail::join(*task_, detail::cancellation::ignored);
        detail::detach(*task_);
        task_->discard();
        detail::release_reference(*std::exchange(task_, nullptr));
    }

    detail::task_result<R>* task_ = nullptr; // holds a reference
};

// Starts `function` as a new fiber of the calling fiber's worker; it first runs when the caller waits or yields.
// Returns fiber<R>, where R is what function() returns. Throws std::logic_error outside weft::run, std::system_error
// if there is no memory for a stack; whatever moving `function` throws.
template <class F> auto spawn(spawn_options const& options, F&& function) {
    using task = detail::task<std::decay_t<F>>;
    static_assert(alignof(task) <= 256, "a fiber's function can't be aligned more strictly than 256 bytes");
    auto const site = detail::prepare_launch(options, sizeof(task), alignof(task));
    task* made = nullptr;
    try {
        made = new (site.place) task(std::decay_t<F>(std::forward<F>(function)));
    } catch (...) {
        detail::abandon_launch(site);
        throw;
    }
    detail::add_reference(*made);
    detail::launch(site, *made, options);
    return fiber<typename task::result>(made);
}

template <class F> auto spawn(F&& function) { return spawn(spawn_options{}, std::forward<F>(function)); }

} // namespace weft
