#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <vector>

#include <boost/asio/error.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/detail/park.hpp>
#include <weft/detail/wait_list.hpp>
#include <weft/testing/memory_stream.hpp>

#include "../parts.hpp"

namespace weft::testing {
namespace {

using weft::detail::wait_list;
using weft::detail::wake_cause;
using guard = std::unique_lock<weft::detail::biased_lock>;

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

// The bytes on their way in one direction.
class ring {
public:
    explicit ring(std::size_t capacity) : bytes_(capacity) {}

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t room() const noexcept { return bytes_.size() - size_; }

    void put(char const* from, std::size_t count) noexcept {
        std::size_t const at = (begin_ + size_) % bytes_.size();
        std::size_t const first = std::min(count, bytes_.size() - at);
        std::memcpy(bytes_.data() + at, from, first);
        std::memcpy(bytes_.data(), from + first, count - first);
        size_ += count;
    }

    void take(char* to, std::size_t count) noexcept {
        copy(to, count);
        begin_ = (begin_ + count) % bytes_.size();
        size_ -= count;
    }

    void copy(char* to, std::size_t count) const noexcept {
        std::size_t const first = std::min(count, bytes_.size() - begin_);
        std::memcpy(to, bytes_.data() + begin_, first);
        std::memcpy(to + first, bytes_.data(), count - first);
    }

private:
    std::vector<char> bytes_;
    std::size_t begin_ = 0;
    std::size_t size_ = 0;
};

// What one kind of call, of one end, is to do.
struct orders {
    std::size_t most = no_limit; // bytes in one call
    error_code failure;          // to come, if set,
    std::size_t after = 0;       // once that many bytes are through

    [[nodiscard]] bool fails_now() const noexcept { return failure && after == 0; }
    [[nodiscard]] std::size_t limit(std::size_t count) const noexcept {
        return std::min(count, failure ? after : no_limit);
    }
    void moved(std::size_t count) noexcept { after -= failure ? count : 0; }
};

// Callers of one kind: one at a time makes its call, and waits for what that needs; the others wait for their turn.
struct callers {
    orders told;
    bool busy = false;
    wait_list turns;  // who is woken has the turn
    wait_list events; // the one whose turn it is
};

struct direction {
    explicit direction(std::size_t capacity) : bytes(capacity) {}

    ring bytes;
    std::uint64_t written = 0;
    bool ended = false;   // nothing more will be written
    bool refused = false; // nothing more may be
    callers readers;
    callers writers;
};

// Goes through parts, a stretch at a time.
class cursor {
public:
    explicit cursor(iovec const* parts) noexcept : part_(parts) {}

    // function(memory, count) for `count` bytes more; there must be as many.
    template <class Function> void advance(std::size_t count, Function function) noexcept {
        while (count > 0) {
            std::size_t const now = std::min(count, part_->iov_len - done_);
            function(static_cast<char*>(part_->iov_base) + done_, now);
            count -= now;
            done_ += now;
            if (done_ == part_->iov_len) {
                ++part_;
                done_ = 0;
            }
        }
    }

private:
    iovec const* part_;
    std::size_t done_ = 0; // of *part_
};

// How the waits of a call end.
struct wait_terms {
    weft::detail::wait_reason reason;
    time_point deadline;
};

// Waits on `list`, without the lock meanwhile. False, with `error`, if something else than a waker has ended it.
bool wait(guard& lock, wait_list& list, wait_terms const& terms, error_code& error) noexcept {
    // As tcp_stream's: it has an error to tell it by, so nothing need be thrown, nor to be ignored while something is.
    wake_cause const cause =
        list.wait(lock, terms.reason, terms.deadline, weft::detail::cancellation::heeded);
    lock.lock();
    if (cause == wake_cause::notified)
        return true;
    error = cause == wake_cause::timed_out ? boost::asio::error::timed_out
                                           : boost::asio::error::operation_aborted;
    return false;
}

bool cancelled(error_code& error) noexcept {
    if (this_fiber::is_cancelled())
        error = boost::asio::error::operation_aborted;
    return error.failed();
}

// Wakes one or all of `list`, without the lock meanwhile.
void wake(guard& lock, wait_list& list, std::ptrdiff_t most = 1) noexcept {
    if (list.empty())
        return;
    auto const woken = list.claim(most);
    lock.unlock();
    woken.deliver();
    lock.lock();
}

bool begin_turn(guard& lock, callers& all, wait_terms const& terms, error_code& error) noexcept {
    if (!all.busy) {
        all.busy = true;
        return true;
    }
    return wait(lock, all.turns, terms, error);
}

void end_turn(guard& lock, callers& all) noexcept {
    auto const next = all.turns.claim(1);
    all.busy = next.count > 0;
    lock.unlock();
    next.deliver();
    if (weft::detail::current_fiber != nullptr)
        weft::detail::count_call(*weft::detail::current_fiber);
}

} // namespace

class memory_stream::connection {
public:
    explicit connection(std::size_t capacity) : directions_{direction(capacity), direction(capacity)} {}

    std::size_t receive(unsigned end, iovec const* parts, std::size_t count, time_point deadline,
                        error_code& error) noexcept {
        direction& from = incoming(end);
        callers& mine = from.readers;
        wait_terms const terms{{"memory_stream, read", weft::detail::by_fibers}, deadline};
        guard lock(lock_);
        if (!begin_turn(lock, mine, terms, error))
            return 0;
        std::size_t got = 0;
        for (;;) {
            if (!may_go_on(end, mine, error))
                break;
            std::size_t const most =
                mine.told.limit(std::min(weft::detail::total_size(parts, count), mine.told.most));
            got = std::min(from.bytes.size(), most);
            if (got > 0) {
                cursor(parts).advance(got, [&](char* to, std::size_t n) { from.bytes.take(to, n); });
                mine.told.moved(got);
                wake(lock, from.writers.events);
                break;
            }
            if (from.ended || from.refused) {
                error = boost::asio::error::eof;
                break;
            }
            if (!wait(lock, mine.events, terms, error))
                break;
        }
        end_turn(lock, mine);
        return got;
    }

    std::size_t send(unsigned end, iovec const* parts, std::size_t count, time_point deadline,
                     error_code& error) noexcept {
        direction& to = outgoing(end);
        callers& mine = to.writers;
        wait_terms const terms{{"memory_stream, write", weft::detail::by_fibers}, deadline};
        guard lock(lock_);
        if (!begin_turn(lock, mine, terms, error))
            return 0;
        std::size_t const wanted = std::min(weft::detail::total_size(parts, count), mine.told.most);
        std::size_t sent = 0;
        cursor rest(parts);
        while (!(sent > 0 && mine.told.fails_now()) && may_go_on(end, mine, error)) {
            if (to.ended || to.refused) {
                error = boost::asio::error::broken_pipe;
                break;
            }
            std::size_t const now = mine.told.limit(std::min(wanted - sent, to.bytes.room()));
            rest.advance(now, [&](char const* from, std::size_t n) { to.bytes.put(from, n); });
            mine.told.moved(now);
            sent += now;
            to.written += now;
            if (now > 0)
                wake(lock, to.readers.events);
            if (sent == wanted)
                break;
            if (to.bytes.room() == 0 && !wait(lock, mine.events, terms, error))
                break;
        }
        if (sent > 0)
            error.clear(); // as a socket does, it tells what it sent; the next call meets the error
        end_turn(lock, mine);
        return sent;
    }

    // False if the end is closed.
    bool shutdown(unsigned end, bool receiving, bool sending) noexcept {
        guard lock(lock_);
        if (closed_[end])
            return false;
        incoming(end).refused = incoming(end).refused || receiving;
        outgoing(end).ended = outgoing(end).ended || sending;
        wake_all(lock);
        return true;
    }

    void close(unsigned end) noexcept {
        guard lock(lock_);
        if (closed_[end])
            return;
        closed_[end] = true;
        incoming(end).refused = true;
        outgoing(end).ended = true;
        wake_all(lock);
    }

    // function(reading, writing): the orders of an end's calls; who waits looks at them again.
    template <class Function> void order(unsigned end, Function function) {
        guard lock(lock_);
        function(incoming(end).readers.told, outgoing(end).writers.told);
        wake_all(lock);
    }

    [[nodiscard]] std::string unread(unsigned end) const {
        std::string copy(capacity_of(end), '\0'); // not to be made under the lock
        guard lock(lock_);
        std::size_t const size = incoming(end).bytes.size();
        incoming(end).bytes.copy(copy.data(), size);
        lock.unlock();
        copy.resize(size);
        return copy;
    }

    [[nodiscard]] std::uint64_t written(unsigned end) const noexcept {
        guard const lock(lock_);
        return outgoing(end).written;
    }
    [[nodiscard]] bool closed(unsigned end) const noexcept {
        guard const lock(lock_);
        return closed_[end];
    }
    [[nodiscard]] bool peer_ended(unsigned end) const noexcept {
        guard const lock(lock_);
        return incoming(end).ended;
    }

private:
    direction& outgoing(unsigned end) noexcept { return directions_[end]; }
    direction& incoming(unsigned end) noexcept { return directions_[1 - end]; }
    [[nodiscard]] direction const& outgoing(unsigned end) const noexcept { return directions_[end]; }
    [[nodiscard]] direction const& incoming(unsigned end) const noexcept { return directions_[1 - end]; }

    [[nodiscard]] std::size_t capacity_of(unsigned end) const noexcept {
        guard const lock(lock_);
        return incoming(end).bytes.size() + incoming(end).bytes.room();
    }

    // Whether a call of `end` has any business to go on, or else its error.
    bool may_go_on(unsigned end, callers& mine, error_code& error) const noexcept {
        if (closed_[end])
            error = boost::asio::error::bad_descriptor;
        else if (mine.told.fails_now())
            error = std::exchange(mine.told.failure, {});
        else
            return true;
        return false;
    }

    // Who waits for bytes or room looks again; who waits for a turn gets it from them.
    void wake_all(guard& lock) noexcept {
        for (direction& each : directions_) {
            wake(lock, each.readers.events);
            wake(lock, each.writers.events);
        }
    }

    mutable weft::detail::biased_lock lock_; // guards the rest
    std::array<direction, 2> directions_;    // [0]: from end 0 to end 1
    std::array<bool, 2> closed_{};
};

std::shared_ptr<memory_stream::connection> memory_stream::begin_call(std::size_t count,
                                                                     error_code& error) const noexcept {
    error.clear();
    if (count == 0 || cancelled(error))
        return nullptr;
    if (connection_ == nullptr)
        error = boost::asio::error::bad_descriptor;
    return connection_;
}

std::size_t memory_stream::receive(iovec const* parts, std::size_t count, error_code& error) const noexcept {
    auto const whole = begin_call(count, error);
    return whole != nullptr ? whole->receive(number_, parts, count, deadline_, error) : 0;
}

std::size_t memory_stream::send(iovec const* parts, std::size_t count, error_code& error) const noexcept {
    auto const whole = begin_call(count, error);
    return whole != nullptr ? whole->send(number_, parts, count, deadline_, error) : 0;
}

void memory_stream::shutdown(side what, error_code& error) noexcept {
    error.clear();
    if (connection_ == nullptr || !connection_->shutdown(number_, what != side::send, what != side::receive))
        error = boost::asio::error::bad_descriptor;
}

void memory_stream::close() noexcept {
    if (connection_ != nullptr)
        connection_->close(number_);
}

bool memory_stream::is_open() const noexcept {
    return connection_ != nullptr && !connection_->closed(number_);
}

void memory_stream::limit_reads(std::size_t most) {
    if (most == 0)
        throw std::invalid_argument("weft::testing::memory_stream: a read can't be limited to no bytes");
    if (connection_ != nullptr)
        connection_->order(number_, [=](orders& reads, orders&) { reads.most = most; });
}

void memory_stream::limit_writes(std::size_t most) {
    if (most == 0)
        throw std::invalid_argument("weft::testing::memory_stream: a write can't be limited to no bytes");
    if (connection_ != nullptr)
        connection_->order(number_, [=](orders&, orders& writes) { writes.most = most; });
}

void memory_stream::fail_read(error_code error, std::size_t after) {
    if (connection_ != nullptr)
        connection_->order(number_, [=](orders& reads, orders&) {
            reads.failure = error;
            reads.after = after;
        });
}

void memory_stream::fail_write(error_code error, std::size_t after) {
    if (connection_ != nullptr)
        connection_->order(number_, [=](orders&, orders& writes) {
            writes.failure = error;
            writes.after = after;
        });
}

std::string memory_stream::unread() const {
    return connection_ != nullptr ? connection_->unread(number_) : std::string();
}

std::uint64_t memory_stream::bytes_written() const noexcept {
    return connection_ != nullptr ? connection_->written(number_) : 0;
}

bool memory_stream::peer_ended() const noexcept {
    return connection_ == nullptr || connection_->peer_ended(number_);
}

bool memory_stream::peer_closed() const noexcept {
    return connection_ == nullptr || connection_->closed(1 - number_);
}

std::pair<memory_stream, memory_stream> memory_stream_pair(std::size_t capacity) {
    if (capacity == 0)
        throw std::invalid_argument("weft::testing::memory_stream_pair: nothing fits into no bytes");
    auto const both = std::make_shared<memory_stream::connection>(capacity);
    return {memory_stream(both, 0), memory_stream(both, 1)};
}

} // namespace weft::testing
