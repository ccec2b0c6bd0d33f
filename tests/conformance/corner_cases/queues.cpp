// POSIX message queues, System V's queues and semaphores, and libc's asynchronous I/O.
#include <aio.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <ctime>
#include <string>
#include <vector>

#include "corner_case.hpp"
#include "endpoints.hpp"
#include "other_side.hpp"

using namespace corner;
using namespace std::chrono_literals;

namespace {

std::array<char, 64> buffer{};

timespec real_time_in(long milliseconds) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_nsec += milliseconds * 1'000'000;
    now.tv_sec += now.tv_nsec / 1'000'000'000;
    now.tv_nsec %= 1'000'000'000;
    return now;
}

mqd_t make_queue(int flags = O_RDWR, long most = 2) {
    std::string const name = "/weft-corner-" + std::to_string(getpid());
    mq_attr attributes{};
    attributes.mq_maxmsg = most;
    attributes.mq_msgsize = 16;
    mqd_t const queue = mq_open(name.c_str(), flags | O_CREAT | O_EXCL, 0600, &attributes);
    REQUIRE(queue >= 0);
    mq_unlink(name.c_str());
    return queue;
}

struct note {
    long type = 1;
    std::array<char, 8> text{};
};

struct own_queue {
    own_queue() : id(msgget(IPC_PRIVATE, 0600)) { REQUIRE(id >= 0); }
    own_queue(own_queue const&) = delete;
    own_queue& operator=(own_queue const&) = delete;
    ~own_queue() { msgctl(id, IPC_RMID, nullptr); }
    int id;
};

struct own_semaphores {
    explicit own_semaphores(int count) : id(semget(IPC_PRIVATE, count, 0600)) { REQUIRE(id >= 0); }
    own_semaphores(own_semaphores const&) = delete;
    own_semaphores& operator=(own_semaphores const&) = delete;
    ~own_semaphores() { semctl(id, 0, IPC_RMID); }
    int id;
};

sembuf change(unsigned short number, short by, short flags = 0) {
    return {.sem_num = number, .sem_op = by, .sem_flg = flags};
}

aiocb request_of(int fd, int operation, std::size_t size = 8) {
    aiocb request{};
    request.aio_fildes = fd;
    request.aio_buf = buffer.data();
    request.aio_nbytes = size;
    request.aio_lio_opcode = operation;
    return request;
}

} // namespace

CORNER_CASE(posix_queues, .parks = 4) {
    mqd_t const queue = make_queue();
    unsigned priority = 77;
    TELL(mq_send(queue, "abc", 3, 5));
    TELL(mq_receive(queue, buffer.data(), 16, &priority));
    TELL(priority);
    TELL(mq_receive(queue, buffer.data(), 15, &priority));
    TELL(mq_send(queue, buffer.data(), 17, 0));
    TELL(mq_send(queue, "", 0, 0));
    TELL(mq_receive(queue, buffer.data(), 64, nullptr));
    TELL(mq_send(queue, "", 0, 32768));
    TELL(mq_send(queue, "", 0, UINT_MAX));
    TELL(mq_send(-1, "", 0, 0));
    TELL(mq_receive(-1, buffer.data(), 64, nullptr));
    auto const [reader, writer] = make_pipe();
    TELL(mq_receive(reader, buffer.data(), 64, nullptr));
    TELL(mq_send(writer, "", 0, 0));
    timespec when = real_time_in(20);
    stopwatch const time;
    TELL(mq_timedreceive(queue, buffer.data(), 64, nullptr, &when));
    TELL_FACT(time.at_least(19ms));
    for (timespec const each :
         {timespec{0, -1}, timespec{0, 1'000'000'000}, timespec{-1, 0}, timespec{0, 0}}) {
        TELL(mq_timedreceive(queue, buffer.data(), 64, nullptr, &each));
        TELL(mq_timedsend(queue, "a", 1, 0, &each));
        TELL(mq_timedreceive(queue, buffer.data(), 64, nullptr, &each));
        timespec const* const no_limit = nullptr;       // declared otherwise, but allowed
        TELL(mq_timedsend(queue, "a", 1, 0, no_limit)); // NOLINT(clang-analyzer-core.NonNullParamChecker)
        TELL(mq_timedreceive(queue, buffer.data(), 64, nullptr, no_limit));
    }
    {
        other_side const sender([queue] {
            until_case_waits();
            mq_send(queue, "first", 5, 1);
        });
        about_to_wait();
        TELL(mq_receive(queue, buffer.data(), 64, &priority));
    }
    TELL(mq_send(queue, "one", 3, 1));
    TELL(mq_send(queue, "three", 5, 2));
    when = real_time_in(20);
    TELL(mq_timedsend(queue, "x", 1, 0, &when));
    other_side const receiver([queue] {
        until_case_waits();
        std::array<char, 64> got{};
        mq_receive(queue, got.data(), 64, nullptr);
    });
    about_to_wait();
    TELL(mq_send(queue, "seventh", 7, 3));
    TELL(mq_receive(queue, buffer.data(), 64, &priority));
    TELL(priority);
    mq_attr nonblocking{};
    nonblocking.mq_flags = O_NONBLOCK;
    TELL(mq_setattr(queue, &nonblocking, nullptr));
    TELL(mq_receive(queue, buffer.data(), 64, &priority));
    TELL(mq_receive(queue, buffer.data(), 64, &priority));
    when = real_time_in(20);
    TELL(mq_timedreceive(queue, buffer.data(), 64, &priority, &when));
    nonblocking.mq_flags = 0;
    TELL(mq_setattr(queue, &nonblocking, nullptr));
    when = real_time_in(20);
    TELL(mq_timedreceive(queue, buffer.data(), 64, &priority, &when));
}

CORNER_CASE(one_way_queues) {
    mqd_t const in = make_queue(O_RDONLY);
    TELL(mq_send(in, "a", 1, 0));
    mqd_t const out = make_queue(O_WRONLY | O_NONBLOCK);
    TELL(mq_receive(out, buffer.data(), 64, nullptr));
    TELL(mq_send(out, "a", 1, 0));
    TELL(mq_send(out, "a", 1, 0));
    TELL(mq_send(out, "a", 1, 0));
    TELL(mq_close(out));
    TELL(mq_send(out, "a", 1, 0));
    TELL(read(in, buffer.data(), 4) > 0);
    pollfd ready{.fd = in, .events = POLLIN, .revents = 0};
    TELL(poll(&ready, 1, 0));
}

CORNER_CASE(system_v_queues, .parks = 3) {
    own_queue const queue;
    note out;
    note in;
    TELL(msgsnd(queue.id, &out, 3, 0));
    TELL(msgrcv(queue.id, &in, 2, 0, 0));
    TELL(msgrcv(queue.id, &in, 2, 0, MSG_NOERROR));
    TELL(msgrcv(queue.id, &in, 8, 0, IPC_NOWAIT));
    out.type = 0;
    TELL(msgsnd(queue.id, &out, 3, 0));
    out.type = -1;
    TELL(msgsnd(queue.id, &out, 3, 0));
    out.type = 5;
    TELL(msgsnd(queue.id, &out, SIZE_MAX, 0));
    std::vector<char> large(100'008, 'x');
    TELL(msgsnd(queue.id, large.data(), 100'000, 0));
    TELL(msgsnd(-1, &out, 3, 0));
    TELL(msgrcv(-1, &in, 3, 0, 0));
    TELL(msgrcv(queue.id, &in, SIZE_MAX, 0, 0));
    TELL(msgrcv(queue.id, &in, 8, 0, MSG_COPY));
    TELL(msgrcv(queue.id, &in, 8, 0, MSG_COPY | IPC_NOWAIT));
    TELL(msgsnd(queue.id, &out, 0, 0));
    TELL(msgrcv(queue.id, &in, 8, LONG_MIN, 0));
    TELL(in.type);
    TELL(msgsnd(queue.id, &out, 1, 0));
    TELL(msgrcv(queue.id, &in, 8, 5, MSG_EXCEPT | IPC_NOWAIT));
    other_side const peer([&queue] {
        note mine;
        mine.type = 7;
        until_case_waits();
        msgsnd(queue.id, &mine, 2, 0);
        until_case_waits();
        msgrcv(queue.id, &mine, 8, 0, 0);
        until_case_waits();
        msgctl(queue.id, IPC_RMID, nullptr);
    });
    about_to_wait();
    TELL(msgrcv(queue.id, &in, 8, 7, 0));
    TELL(msgrcv(queue.id, &in, 8, 0, 0));
    msqid_ds settings{};
    REQUIRE(msgctl(queue.id, IPC_STAT, &settings) == 0);
    settings.msg_qbytes = 3;
    REQUIRE(msgctl(queue.id, IPC_SET, &settings) == 0);
    TELL(msgsnd(queue.id, &out, 3, 0));
    TELL(msgsnd(queue.id, &out, 3, IPC_NOWAIT));
    about_to_wait();
    TELL(msgsnd(queue.id, &out, 3, 0));
    TELL(msgrcv(queue.id, &in, 8, 0, 0));
    about_to_wait();
    TELL(msgrcv(queue.id, &in, 8, 0, 0));
    TELL(msgrcv(queue.id, &in, 8, 0, 0));
}

CORNER_CASE(system_v_semaphores, .parks = 5) {
    own_semaphores const set(2);
    std::array<sembuf, 2> both{change(0, 2), change(1, 1)};
    TELL(semop(set.id, both.data(), 2));
    both = {change(0, -1), change(1, -5, IPC_NOWAIT)};
    TELL(semop(set.id, both.data(), 2));
    TELL(semctl(set.id, 0, GETVAL));
    sembuf one = change(0, 0, IPC_NOWAIT);
    TELL(semop(set.id, &one, 1));
    one = change(7, 1);
    TELL(semop(set.id, &one, 1));
    one = change(0, SHRT_MAX);
    TELL(semop(set.id, &one, 1));
    TELL(semop(set.id, &one, 0));
    TELL(semop(set.id, &one, 100'000));
    TELL(semop(set.id, &one, SIZE_MAX));
    TELL(semop(-1, &one, 1));
    one = change(0, -5);
    timespec limit{.tv_sec = 0, .tv_nsec = 20'000'000};
    stopwatch const time;
    TELL(semtimedop(set.id, &one, 1, &limit));
    TELL_FACT(time.at_least(20ms));
    for (timespec const each :
         {timespec{0, -1}, timespec{0, 1'000'000'000}, timespec{-1, 0}, timespec{0, 0}}) {
        TELL(semtimedop(set.id, &one, 1, &each));
        sembuf up = change(0, 1);
        int raised = 0;
        TELL(raised = semtimedop(set.id, &up, 1, &each));
        up = change(0, -1, IPC_NOWAIT);
        if (raised == 0)
            semop(set.id, &up, 1);
    }
    other_side const peer([&set] {
        until_case_waits();
        sembuf up = change(0, 4);
        semop(set.id, &up, 1);
        until_case_waits();
        up = change(1, -1);
        semop(set.id, &up, 1);
        until_case_waits();
        semctl(set.id, 0, IPC_RMID);
    });
    about_to_wait();
    TELL(semop(set.id, &one, 1));
    one = change(1, 0);
    limit = {.tv_sec = 5, .tv_nsec = 0};
    about_to_wait();
    TELL(semtimedop(set.id, &one, 1, &limit));
    one = change(0, -5, SEM_UNDO);
    about_to_wait();
    TELL(semop(set.id, &one, 1));
    TELL(semop(set.id, &one, 1));
}

CORNER_CASE(asynchronous_reads, .parks = 3) {
    auto const [reader, writer] = make_pipe();
    aiocb request = request_of(reader, LIO_READ);
    TELL(aio_read(&request));
    aiocb const* list[2] = {nullptr, &request};
    timespec limit{.tv_sec = 0, .tv_nsec = 20'000'000};
    stopwatch const time;
    TELL(aio_suspend(list, 2, &limit));
    TELL_FACT(time.at_least(20ms));
    limit = {};
    TELL(aio_suspend(list, 2, &limit));
    limit = {.tv_sec = 0, .tv_nsec = 1'000'000'000};
    TELL(aio_suspend(list, -1, nullptr));
    other_side const feeder([to = writer] {
        until_case_waits();
        put(to, "abcdefgh");
        until_case_waits();
        put(to, "ij");
    });
    about_to_wait();
    TELL(aio_suspend(list, 2, nullptr));
    TELL(aio_error(&request));
    TELL(aio_return(&request));
    TELL(aio_suspend(list, 2, nullptr));
    aiocb first = request_of(reader, LIO_READ);
    aiocb ignored = request_of(-1, LIO_NOP);
    aiocb* all[3] = {&first, &ignored, nullptr};
    about_to_wait();
    TELL(lio_listio(LIO_WAIT, all, 3, nullptr));
    TELL(aio_return(&first));
    TELL(lio_listio(77, all, 3, nullptr));
    TELL(lio_listio(LIO_WAIT, all, -1, nullptr));
    TELL(lio_listio(LIO_WAIT, all, 0, nullptr));
    aiocb bad = request_of(4711, LIO_READ);
    all[0] = &bad;
    TELL(lio_listio(LIO_WAIT, all, 1, nullptr));
    TELL(aio_error(&bad) == EBADF);
    bad = request_of(reader, 77);
    TELL(lio_listio(LIO_WAIT, all, 1, nullptr));
}
