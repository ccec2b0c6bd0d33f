// What goes through a channel, and in which order: a model to compare channels with.
//
// Every value is numbered. What can be told from outside, in whatever order fibers run: each value that was sent is received once; none that
// was not; and of two values, if the first was in before anybody began to send the second, nobody has the second before somebody begins to
// receive that gets the first.
//
// Any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>

#include "support/require.hpp"

namespace support {

class traffic {
public:
    // A value that can't be copied, and that shows whether it was moved away.
    using value = std::unique_ptr<std::size_t>;

    // Before it is sent.
    value make() {
        std::scoped_lock const lock(guard_);
        packages_.push_back({.send_begin = ++now_});
        return std::make_unique<std::size_t>(packages_.size() - 1);
    }
    // After it was.
    void sent(std::size_t number) {
        std::scoped_lock const lock(guard_);
        packages_[number].send_end = ++now_;
    }
    // It was not, and its sender has it still.
    void kept(value const& its) {
        require(its != nullptr, "a value that was not sent is gone");
        std::scoped_lock const lock(guard_);
        require(packages_[*its].receive_end == 0, "a value was received that was not sent");
        packages_[*its].kept = true;
    }
    // It was not, and went down with the call.
    void lost(std::size_t number) {
        std::scoped_lock const lock(guard_);
        require(packages_[number].receive_end == 0, "a value was received that was not sent");
        packages_[number].kept = true;
    }

    // Before something is received; to be given to received().
    std::size_t begin_receive() {
        std::scoped_lock const lock(guard_);
        return ++now_;
    }
    void received(value const& what, std::size_t since) {
        require(what != nullptr, "an empty value was received");
        std::scoped_lock const lock(guard_);
        package& its = packages_[*what];
        require(!its.kept, "a value was received that was not sent");
        require(its.receive_end == 0, "a value was received twice");
        its.receive_begin = since;
        its.receive_end = ++now_;
    }

    // When all have ended, and the channel is empty.
    void check() const {
        for (package const& each : packages_)
            require(each.kept == (each.receive_end == 0), "a value was lost");
        for (package const& one : packages_)
            for (package const& other : packages_)
                if (!one.kept && !other.kept && one.send_end != 0 && one.send_end < other.send_begin)
                    require(other.receive_end > one.receive_begin, "a value overtook another");
    }
    // The order apart: that takes long where there are many.
    void check_counts() const {
        for (package const& each : packages_)
            require(each.kept == (each.receive_end == 0), "a value was lost");
    }

private:
    struct package {
        std::size_t send_begin;
        std::size_t send_end = 0; // 0: not known to have been sent
        std::size_t receive_begin = 0;
        std::size_t receive_end = 0; // 0: not received
        bool kept = false;           // by its sender, who was told so
    };

    std::mutex guard_;
    std::size_t now_ = 0; // counts what happens
    std::deque<package> packages_;
};

} // namespace support
