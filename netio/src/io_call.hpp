// io_call: one blocking call of a fiber on one descriptor: try, wait while it would block, try again.
//
//     io_call call(fd);
//     do {
//         n = <the system call, in its form that doesn't block>;
//         if (n >= 0 || errno != EAGAIN) return call.done(n);
//     } while (call.wait(EPOLLIN, "recv"));
//     return -1;
//
// Lives on the fiber's stack, for the length of the call.
#pragma once

#include <cstdint>
#include <utility>

#include <weft/clock.hpp>
#include <weft/detail/park.hpp>

#include "descriptor.hpp"
#include "epoll_engine.hpp"
#include "sys.hpp"

namespace weft::detail {

// descriptor::socket, stream and tcp of a socket of socket(2)'s domain, plain type and protocol.
std::uint32_t socket_flags(int domain, int type, int protocol) noexcept;

class io_call {
public:
    // On a fiber, with `fd` as the program gave it.
    explicit io_call(int fd) noexcept
        : fd_(fd),
          entry_(find_descriptor(fd)),
          engine_(entry_ != nullptr ? epoll_engine::current() : nullptr) {
        if (entry_ != nullptr) {
            generation_ = entry_->generation.load(std::memory_order_acquire);
            flags_ = entry_->flags.load(std::memory_order_acquire);
        }
    }

    // The rules below only hold with these; otherwise the call must go to the kernel as it is.
    [[nodiscard]] bool possible() const noexcept { return engine_ != nullptr; }

    [[nodiscard]] std::uint32_t flags() const noexcept { return flags_; }
    [[nodiscard]] bool is(std::uint32_t flag) const noexcept { return (flags_ & flag) == flag; }

    // Whether it is known without asking that the program made the descriptor non-blocking.
    [[nodiscard]] bool known_nonblocking() const noexcept {
        return is(descriptor::nonblocking) && descriptor::trusted(flags_);
    }

    // The short-read rule: whether a read can't succeed before the next edge, so that it needn't be tried.
    [[nodiscard]] bool known_drained() const noexcept {
        if ((flags_ & deciding) != drainable)
            return false;
        watch const* const seen = engine_->known_watch(fd_);
        return seen != nullptr && seen->drained && seen->registered == generation_;
    }

    // After a read of `got` bytes where there was room for `asked`.
    void note_read(std::size_t got, std::size_t asked) const noexcept {
        if (got >= asked || got == 0 || (flags_ & deciding) != drainable)
            return;
        watch* const seen = engine_->known_watch(fd_);
        if (seen != nullptr)
            seen->drained = !std::exchange(seen->withheld, false) && !seen->eager;
    }

    // Parks the fiber until one of `events` (EPOLLIN, EPOLLOUT, EPOLLPRI). False if the call is to fail, with errno:
    // EAGAIN if the descriptor is the program's own non-blocking one or its time limit (SO_RCVTIMEO, SO_SNDTIMEO) is
    // over, EINTR if a signal's handler has run, EBADF if it was closed meanwhile, EPERM if it can't be waited for.
    bool wait(std::uint32_t events, char const* operation) noexcept;

    // The call ends with this result, errno set if it is -1. Yields now and then, so that a fiber whose calls never
    // have to wait doesn't keep the worker for itself.
    template <class Result> Result done(Result result) noexcept {
        count_call(*current_fiber);
        return result;
    }

    // The number was closed, or closed and given out again, since the call began.
    [[nodiscard]] bool ended() const noexcept {
        return entry_->generation.load(std::memory_order_acquire) != generation_;
    }

    // What bounds a wait of this call for something else than an event, and whether a handler ends it.
    struct wait_limits {
        time_point deadline;
        interruption interruptible;
    };
    [[nodiscard]] wait_limits limits(std::uint32_t events) const noexcept;

    // Some bytes are transferred already: any handler ends the call, which then tells how many.
    void note_progress() noexcept { ended_by_any_handler_ = true; }

    // A limit of the call's own, beside the descriptor's.
    void limit(time_point deadline) noexcept { deadline_ = deadline; }

    // Something learnt of the descriptor, for later calls too.
    void note_kind(std::uint32_t flag) noexcept {
        set_flag(*entry_, flag, true);
        flags_ |= flag;
    }

    // What it would have been told of the socket, had we opened it.
    void learn_socket() noexcept;

    // Whether EAGAIN is for the program.
    [[nodiscard]] bool nonblocking() const noexcept;

    // What was thought of the descriptor's kind was wrong.
    void forget_kind() noexcept {
        entry_->flags.fetch_and(
            ~(descriptor::tracked | descriptor::socket | descriptor::stream | descriptor::tcp));
        flags_ = entry_->flags.load();
    }

    [[nodiscard]] descriptor& entry() noexcept { return *entry_; }

private:
    // A TCP socket of which everything is known, and that is the program's to wait on.
    static constexpr std::uint32_t drainable = descriptor::tracked | descriptor::tcp;
    static constexpr std::uint32_t deciding = drainable | descriptor::shared | descriptor::nonblocking;

    bool begin_wait(std::uint32_t events) noexcept;
    void take_option_limit(std::uint32_t events) noexcept;

    int fd_;
    bool waited_ = false;
    bool ended_by_any_handler_ = false;
    std::uint32_t generation_ = 0;
    std::uint32_t flags_ = 0;
    descriptor* entry_;
    epoll_engine* engine_;
    time_point deadline_ = never;
};

} // namespace weft::detail
