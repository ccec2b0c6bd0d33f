// accept_policy: what an accept loop does about accept's errors, as pure logic.
//
//   - The connection at hand has failed (ECONNABORTED, EINTR, network errors that accept(2) tells of): go on at once.
//   - The process or the system is out of something (EMFILE, ENFILE, ENOBUFS, ENOMEM): back off, 10 ms doubling to 1 s,
//     until an accept succeeds. Connections wait in the backlog meanwhile.
//   - Anything else (EBADF, EINVAL: the listener was closed or shut down): stop.
#pragma once

#include <chrono>

namespace weft::net {

enum class accept_action { go_on, back_off, stop };

class accept_policy {
public:
    static constexpr std::chrono::milliseconds first_pause{10};
    static constexpr std::chrono::milliseconds longest_pause{1000};

    // What to do about accept's errno. After back_off, pause() says for how long.
    accept_action failed(int error) noexcept;

    // An accept succeeded: the next shortage starts over.
    void succeeded() noexcept { pause_ = std::chrono::milliseconds::zero(); }

    [[nodiscard]] std::chrono::milliseconds pause() const noexcept { return pause_; }

    // Whether the last back_off was the first of its shortage: worth a line in the log.
    [[nodiscard]] bool shortage_begins() const noexcept { return pause_ == first_pause; }

private:
    std::chrono::milliseconds pause_{0};
};

} // namespace weft::net
