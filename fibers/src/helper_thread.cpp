#include <atomic>
#include <csignal>
#include <new>

#include <weft/detail/helper_thread.hpp>

namespace weft::detail {
namespace {

std::atomic<std::size_t> helpers{0};

struct helper {
    void* (*function)(void*);
    void* argument;
};

// Also when pthread_cancel(3) ends it.
struct counted_until_end {
    counted_until_end() noexcept = default;
    counted_until_end(counted_until_end const&) = delete;
    counted_until_end& operator=(counted_until_end const&) = delete;
    ~counted_until_end() { helpers.fetch_sub(1, std::memory_order_relaxed); }
};

void* run_helper(void* argument) {
    counted_until_end const counted;
    auto const* const given = static_cast<helper*>(argument);
    helper const self = *given;
    delete given;
    return self.function(self.argument);
}

bool start(pthread_t& thread, int detach_state, void* (*function)(void*), void* argument,
           std::size_t stack) noexcept {
    auto* const given = new (std::nothrow) helper{function, argument};
    if (given == nullptr)
        return false;
    sigset_t all;
    sigset_t previous;
    sigfillset(&all);
    pthread_attr_t attributes;
    if (::pthread_attr_init(&attributes) != 0) {
        delete given;
        return false;
    }
    ::pthread_attr_setdetachstate(&attributes, detach_state);
    ::pthread_attr_setstacksize(&attributes, stack);
    ::pthread_sigmask(SIG_SETMASK, &all, &previous);
    helpers.fetch_add(1, std::memory_order_relaxed);
    int const error = ::pthread_create(&thread, &attributes, run_helper, given);
    if (error != 0) {
        helpers.fetch_sub(1, std::memory_order_relaxed);
        delete given;
    }
    ::pthread_sigmask(SIG_SETMASK, &previous, nullptr);
    ::pthread_attr_destroy(&attributes);
    return error == 0;
}

} // namespace

bool start_helper(void* (*function)(void*), void* argument, std::size_t stack) noexcept {
    pthread_t thread{};
    return start(thread, PTHREAD_CREATE_DETACHED, function, argument, stack);
}

bool start_helper(pthread_t& thread, void* (*function)(void*), void* argument, std::size_t stack) noexcept {
    return start(thread, PTHREAD_CREATE_JOINABLE, function, argument, stack);
}

std::size_t helper_count() noexcept { return helpers.load(std::memory_order_relaxed); }
void forget_helpers() noexcept { helpers.store(0, std::memory_order_relaxed); }

} // namespace weft::detail
