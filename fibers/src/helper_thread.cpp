#include <csignal>

#include <weft/detail/helper_thread.hpp>

namespace weft::detail {
namespace {

bool start(pthread_t& thread, int detach_state, void* (*function)(void*), void* argument,
           std::size_t stack) noexcept {
    sigset_t all;
    sigset_t previous;
    sigfillset(&all);
    pthread_attr_t attributes;
    if (::pthread_attr_init(&attributes) != 0)
        return false;
    ::pthread_attr_setdetachstate(&attributes, detach_state);
    ::pthread_attr_setstacksize(&attributes, stack);
    ::pthread_sigmask(SIG_SETMASK, &all, &previous);
    int const error = ::pthread_create(&thread, &attributes, function, argument);
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

} // namespace weft::detail
