// The patched calls on message queues and System V semaphores, and those that wait for asynchronous I/O of libc's.
//
// A POSIX queue is a descriptor, and waited for as one. Of the others nobody tells when they are ready: a fiber looks again and
// again, in growing intervals.
#include <aio.h>
#include <mqueue.h>
#include <netdb.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "../io_call.hpp"
#include "../user_memory.hpp"
#include "libc_function.hpp"
#include "lock_time.hpp"
#include "on_fiber.hpp"
#include "try_again.hpp"

using weft::detail::copy_in;
using weft::detail::interruption;
using weft::detail::io_call;
using weft::detail::libc_function;
using weft::detail::lock_time;
using weft::detail::on_fiber;
using weft::detail::try_again;

namespace {

constexpr libc_function<"mq_timedreceive", ssize_t(mqd_t, char*, size_t, unsigned*, timespec const*)>
    libc_mq_timedreceive;
constexpr libc_function<"mq_timedsend", int(mqd_t, char const*, size_t, unsigned, timespec const*)>
    libc_mq_timedsend;
constexpr libc_function<"msgrcv", ssize_t(int, void*, size_t, long, int)> libc_msgrcv;
constexpr libc_function<"msgsnd", int(int, void const*, size_t, int)> libc_msgsnd;
constexpr libc_function<"semtimedop", int(int, sembuf*, size_t, timespec const*)> libc_semtimedop;
constexpr libc_function<"aio_suspend", int(aiocb const* const*, int, timespec const*)> libc_aio_suspend;
constexpr libc_function<"lio_listio", int(int, aiocb* const*, int, sigevent*)> libc_lio_listio;
constexpr libc_function<"gai_suspend", int(gaicb const* const*, int, timespec const*)> libc_gai_suspend;

constexpr long second = 1'000'000'000;

// -- POSIX queues --

// `attempt` gets a time that is over, so that it doesn't wait; it is made anew whenever the queue shows `events`, until `when`.
template <class Attempt>
auto wait_for_queue(mqd_t queue, std::uint32_t events, char const* operation, timespec const* when,
                    Attempt attempt) noexcept {
    timespec const over{};
    timespec limit{};
    if (when != nullptr) {
        if (!copy_in(limit, when))
            return decltype(attempt(&over)){-1};
        if (limit.tv_sec < 0 || limit.tv_nsec < 0 || limit.tv_nsec >= second) {
            errno = EINVAL;
            return decltype(attempt(&over)){-1};
        }
    }
    io_call call(queue);
    for (;;) {
        auto const result = attempt(&over);
        if (result >= 0 || errno != ETIMEDOUT)
            return call.done(result); // EAGAIN: the program made it non-blocking
        lock_time const until(CLOCK_REALTIME, when != nullptr ? &limit : nullptr);
        call.limit(until.deadline());
        errno = ENOMEM;
        bool const waited = !until.over() && call.possible() && call.wait(events, operation);
        if (until.over() || (!waited && errno == EAGAIN))
            errno = ETIMEDOUT;
        if (!waited)
            return result;
    }
}

ssize_t receive_as_called(mqd_t queue, char* buffer, size_t size, unsigned* priority, timespec const* when) {
    if (!on_fiber())
        return libc_mq_timedreceive(queue, buffer, size, priority, when);
    return wait_for_queue(queue, EPOLLIN, "mq_receive", when, [=](timespec const* limit) {
        return libc_mq_timedreceive(queue, buffer, size, priority, limit);
    });
}

int send_as_called(mqd_t queue, char const* data, size_t size, unsigned priority, timespec const* when) {
    if (!on_fiber())
        return libc_mq_timedsend(queue, data, size, priority, when);
    return wait_for_queue(queue, EPOLLOUT, "mq_send", when, [=](timespec const* limit) {
        return libc_mq_timedsend(queue, data, size, priority, limit);
    });
}

// -- what nobody tells of --

// `attempt`, which fails with `not_yet` instead of waiting, again and again; System V's are never restarted after a handler:
// signal(7).
template <class Attempt>
auto wait_in_intervals(char const* operation, int not_yet, lock_time const& limit, Attempt attempt,
                       interruption interruptible = interruption::always) noexcept {
    auto result = attempt();
    if (result >= 0 || errno != not_yet)
        return result;
    int const error = try_again(operation, limit, interruptible, [&] {
        result = attempt();
        return result >= 0 ? 0 : errno == not_yet ? EBUSY : errno;
    });
    // What was there when the wait began is there no more.
    errno = error == ETIMEDOUT ? EAGAIN : error == EINVAL ? EIDRM : error;
    return error == 0 ? result : decltype(result){-1};
}

// The time that `left` from now is, for a lock_time that points to it. False with EFAULT or EINVAL.
bool time_after(timespec const* left, timespec& when) noexcept {
    timespec given{};
    if (!copy_in(given, left))
        return false;
    errno = EINVAL;
    if (given.tv_sec < 0 || given.tv_nsec < 0 || given.tv_nsec >= second)
        return false;
    ::clock_gettime(CLOCK_MONOTONIC, &when);
    when.tv_nsec += given.tv_nsec;
    long const carry = when.tv_nsec / second;
    when.tv_nsec -= carry * second;
    if (__builtin_add_overflow(when.tv_sec, given.tv_sec, &when.tv_sec) ||
        __builtin_add_overflow(when.tv_sec, carry, &when.tv_sec))
        when.tv_sec = std::numeric_limits<time_t>::max();
    return true;
}

// Whether the first of the changes that can't be made is one that waits: the others decide nothing.
bool would_wait(int set, sembuf const* changes, size_t count) noexcept {
    int const error = errno;
    auto const waits = [](sembuf const& each) { return (each.sem_flg & IPC_NOWAIT) == 0; };
    if (std::all_of(changes, changes + count, waits) || std::none_of(changes, changes + count, waits))
        return waits(changes[0]);
    for (size_t i = 0; i < count; ++i) {
        long value = ::semctl(set, changes[i].sem_num, GETVAL);
        errno = error;
        for (size_t earlier = 0; earlier < i; ++earlier)
            if (changes[earlier].sem_num == changes[i].sem_num)
                value += changes[earlier].sem_op;
        if (changes[i].sem_op == 0 ? value != 0 : value + changes[i].sem_op < 0)
            return waits(changes[i]);
    }
    return true; // by now they could be made
}

int change_semaphores(int set, sembuf* changes, size_t count, timespec const* when) noexcept {
    // With no time to wait the kernel answers EAGAIN; what SEM_UNDO means stays the kernel's business.
    timespec const none{};
    bool refused = false;
    int const result = wait_in_intervals("semop", EAGAIN, {CLOCK_MONOTONIC, when}, [&] {
        int const made = libc_semtimedop(set, changes, count, &none);
        refused = made != 0 && errno == EAGAIN && !would_wait(set, changes, count);
        if (refused)
            errno = ECANCELED; // not EAGAIN, which would be waited for
        return made;
    });
    if (refused)
        errno = EAGAIN;
    return result;
}

// libc waits for its own threads by a futex, which only a time limit keeps from being restarted.
interruption by_limit(timespec const* timeout) noexcept {
    return timeout != nullptr ? interruption::always : interruption::unless_restarted;
}

bool none_under_way(aiocb* const* list, int count) noexcept {
    for (int i = 0; i < count; ++i)
        if (list[i] != nullptr && list[i]->aio_lio_opcode != LIO_NOP && ::aio_error(list[i]) == EINPROGRESS)
            return false;
    return true;
}

bool all_well(aiocb* const* list, int count) noexcept {
    for (int i = 0; i < count; ++i)
        if (list[i] != nullptr && list[i]->aio_lio_opcode != LIO_NOP && ::aio_error(list[i]) != 0)
            return false;
    return true;
}

} // namespace

extern "C" {

ssize_t mq_receive(mqd_t queue, char* buffer, size_t size, unsigned* priority) {
    return receive_as_called(queue, buffer, size, priority, nullptr);
}
ssize_t mq_timedreceive(mqd_t queue, char* __restrict buffer, size_t size, unsigned* __restrict priority,
                        timespec const* __restrict when) {
    return receive_as_called(queue, buffer, size, priority, when);
}
int mq_send(mqd_t queue, char const* data, size_t size, unsigned priority) {
    return send_as_called(queue, data, size, priority, nullptr);
}
int mq_timedsend(mqd_t queue, char const* data, size_t size, unsigned priority, timespec const* when) {
    return send_as_called(queue, data, size, priority, when);
}

ssize_t msgrcv(int queue, void* message, size_t size, long type, int flags) {
    if ((flags & (IPC_NOWAIT | MSG_COPY)) != 0 || !on_fiber()) // MSG_COPY never waits
        return libc_msgrcv(queue, message, size, type, flags);
    return wait_in_intervals("msgrcv", ENOMSG, {},
                             [=] { return libc_msgrcv(queue, message, size, type, flags | IPC_NOWAIT); });
}

int msgsnd(int queue, void const* message, size_t size, int flags) {
    if ((flags & IPC_NOWAIT) != 0 || !on_fiber())
        return libc_msgsnd(queue, message, size, flags);
    return wait_in_intervals("msgsnd", EAGAIN, {},
                             [=] { return libc_msgsnd(queue, message, size, flags | IPC_NOWAIT); });
}

int semop(int set, sembuf* changes, size_t count) noexcept {
    return semtimedop(set, changes, count, nullptr);
}

int semtimedop(int set, sembuf* changes, size_t count, timespec const* timeout) noexcept {
    // Who would not wait, has all that there is to say in the arguments: those the kernel checks first.
    timespec const none{};
    timespec when{};
    if (!on_fiber())
        return libc_semtimedop(set, changes, count, timeout);
    if (timeout != nullptr && !time_after(timeout, when))
        return -1;
    int const at_once = libc_semtimedop(set, changes, count, &none);
    if (at_once == 0 || errno != EAGAIN)
        return at_once;
    return change_semaphores(set, changes, count, timeout != nullptr ? &when : nullptr);
}

int aio_suspend(aiocb const* const list[], int count, timespec const* timeout) {
    if (!on_fiber())
        return libc_aio_suspend(list, count, timeout);
    timespec when{};
    timespec const none{};
    if (timeout != nullptr && !time_after(timeout, when))
        return -1;
    // Not by libc's own every time, as a handler that runs meanwhile would end it.
    auto const under_way = [](aiocb const* each) {
        return each == nullptr || ::aio_error(each) == EINPROGRESS;
    };
    bool looked = false;
    return wait_in_intervals(
        "aio_suspend", EAGAIN, {CLOCK_MONOTONIC, timeout != nullptr ? &when : nullptr},
        [&] {
            errno = EAGAIN;
            bool const none_ended = std::exchange(looked, true) && std::all_of(list, list + count, under_way);
            return none_ended ? -1 : libc_aio_suspend(list, count, &none);
        },
        by_limit(timeout));
}
int aio_suspend64(aiocb64 const* const list[], int count, timespec const* timeout) {
    return aio_suspend(reinterpret_cast<aiocb const* const*>(list), count, timeout);
}

int lio_listio(int mode, aiocb* const* list, int count, sigevent* event) noexcept {
    if (mode != LIO_WAIT || !on_fiber())
        return libc_lio_listio(mode, list, count, event);
    int const begun = libc_lio_listio(LIO_NOWAIT, list, count, nullptr);
    if (begun != 0 && errno != EIO) // EIO: some have begun
        return begun;
    int const error = try_again("lio_listio", {}, interruption::unless_restarted,
                                [=] { return none_under_way(list, count) ? 0 : EBUSY; });
    errno = error != 0 ? error : EIO;
    return error == 0 && begun == 0 && all_well(list, count) ? 0 : -1;
}
int lio_listio64(int mode, aiocb64* const* list, int count, sigevent* event) noexcept {
    return lio_listio(mode, reinterpret_cast<aiocb* const*>(list), count, event);
}

int gai_suspend(gaicb const* const list[], int count, timespec const* timeout) {
    if (!on_fiber())
        return libc_gai_suspend(list, count, timeout);
    timespec when{};
    timespec const none{};
    if (timeout != nullptr && !time_after(timeout, when))
        return EAI_SYSTEM;
    int result = 0;
    int const error =
        try_again("gai_suspend", {CLOCK_MONOTONIC, timeout != nullptr ? &when : nullptr}, by_limit(timeout),
                  [&] { return (result = libc_gai_suspend(list, count, &none)) == EAI_AGAIN ? EBUSY : 0; });
    return error == EINTR ? EAI_INTR : error == ETIMEDOUT ? EAI_AGAIN : result;
}

} // extern "C"
