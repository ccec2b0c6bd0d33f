#include <mutex>
#include <system_error>

#include <weft/detail/lock_owner.hpp>
#include <weft/detail/misuse.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/detail/waiter.hpp>
#include <weft/shared_mutex.hpp>

namespace weft {

shared_mutex::~shared_mutex() {
    if (writer_ != 0)
        detail::fail_misuse(
            (complain("destroyed while ") + detail::describe_owner(writer_) + " holds it").c_str());
    if (readers_ != 0)
        detail::fail_misuse(complain("destroyed while it is held for reading").c_str());
}

// Under lock_: takes it, if whoever asks (a reader: 0) may be in now. Waiters are not looked at.
bool shared_mutex::admit(int writer) noexcept {
    if (writer_ != 0 || (writer != 0 && readers_ != 0))
        return false;
    if (writer != 0)
        writer_ = writer;
    else
        ++readers_;
    return true;
}

bool shared_mutex::try_lock() {
    std::scoped_lock const lock(lock_);
    return waiting_.empty() && admit(detail::lock_owner());
}

bool shared_mutex::try_lock_shared() {
    std::scoped_lock const lock(lock_);
    return waiting_.empty() && admit(0);
}

bool shared_mutex::try_lock_until(time_point deadline) {
    std::unique_lock lock(lock_);
    int const self = detail::lock_owner();
    return (waiting_.empty() && admit(self)) || wait(lock, self, deadline);
}

bool shared_mutex::try_lock_shared_until(time_point deadline) {
    std::unique_lock lock(lock_);
    return (waiting_.empty() && admit(0)) || wait(lock, 0, deadline);
}

bool shared_mutex::wait(std::unique_lock<detail::biased_lock>& lock, int writer, time_point deadline) {
    if (writer_ == detail::lock_owner()) {
        lock.unlock();
        throw std::system_error(std::make_error_code(std::errc::resource_deadlock_would_occur),
                                complain("locked again by its writer, ") + detail::describe_owner(writer_));
    }
    detail::waiter self;
    self.tag = writer;
    auto const cause =
        waiting_.wait(self, lock, {"shared_mutex", *this}, deadline, detail::own_cancellation());
    if (cause == detail::wake_cause::notified)
        return true; // and let in
    // A writer who gives up may have been all that kept the readers behind it out.
    lock.lock();
    hand_on(lock);
    if (cause == detail::wake_cause::cancelled)
        detail::throw_cancelled();
    return false;
}

// Lets in those whose turn it is; releases the lock.
void shared_mutex::hand_on(std::unique_lock<detail::biased_lock>& lock) noexcept {
    detail::claimed_waiters woken;
    while (detail::waiter* const first = waiting_.first()) {
        if (writer_ != 0 || (first->tag != 0 && readers_ != 0))
            break;
        bool const writer = first->tag != 0;
        waiting_.erase(*first);
        if (!first->claim())
            continue; // it has given up
        static_cast<void>(admit(first->tag));
        woken.add(*first);
        if (writer)
            break;
    }
    lock.unlock();
    woken.deliver();
}

void shared_mutex::unlock() {
    std::unique_lock lock(lock_);
    int const self = detail::lock_owner();
    if (writer_ != self) {
        int const writer = writer_;
        lock.unlock();
        throw std::system_error(std::make_error_code(std::errc::operation_not_permitted),
                                complain("unlocked by ") + detail::describe_owner(self) +
                                    (writer == 0 ? std::string(", but nobody holds it for writing")
                                                 : ", but " + detail::describe_owner(writer) + " holds it"));
    }
    writer_ = 0;
    hand_on(lock);
}

void shared_mutex::unlock_shared() {
    std::unique_lock lock(lock_);
    if (readers_ == 0) {
        lock.unlock();
        throw std::system_error(std::make_error_code(std::errc::operation_not_permitted),
                                complain("unlocked for reading, but nobody holds it so"));
    }
    --readers_;
    hand_on(lock);
}

} // namespace weft
