// Message queues, System V semaphores and asynchronous I/O, between fibers of one worker.
#include <aio.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include <boost/test/unit_test.hpp>

#include <weft/clock.hpp>
#include <weft/fiber.hpp>
#include <weft/run.hpp>
#include <weft/this_fiber.hpp>

#include "support/sockets.hpp"

namespace {

using namespace std::chrono_literals;

timespec realtime_after(std::chrono::milliseconds wait) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    now.tv_nsec += std::chrono::nanoseconds(wait).count();
    now.tv_sec += now.tv_nsec / 1'000'000'000;
    now.tv_nsec %= 1'000'000'000;
    return now;
}

} // namespace

BOOST_AUTO_TEST_CASE(posix_queues) {
    weft::run([] {
        std::string const name = "/weft-test-" + std::to_string(::getpid());
        mq_attr attributes{};
        attributes.mq_maxmsg = 2;
        attributes.mq_msgsize = 16;
        mqd_t const queue = ::mq_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600, &attributes);
        BOOST_REQUIRE(queue >= 0);
        ::mq_unlink(name.c_str());
        auto sender = weft::spawn([&] {
            for (int i = 0; i < 20; ++i) { // more than fit: waits for room
                std::string const text = std::to_string(i);
                BOOST_TEST(::mq_send(queue, text.data(), text.size(), 0) == 0);
            }
        });
        std::array<char, 16> buffer{};
        for (int i = 0; i < 20; ++i) {
            ssize_t const n = ::mq_receive(queue, buffer.data(), buffer.size(), nullptr);
            BOOST_TEST(std::string(buffer.data(), static_cast<std::size_t>(n)) == std::to_string(i));
        }
        sender.join();
        auto const begin = weft::clock::now();
        timespec const until = realtime_after(20ms);
        BOOST_TEST(::mq_timedreceive(queue, buffer.data(), buffer.size(), nullptr, &until) == -1);
        BOOST_TEST(errno == ETIMEDOUT);
        BOOST_TEST((weft::clock::now() - begin >= 20ms));
        ::mq_close(queue);
    });
}

BOOST_AUTO_TEST_CASE(system_v_queues) {
    weft::run([] {
        struct text {
            long type;
            char bytes[8];
        };
        int const queue = ::msgget(IPC_PRIVATE, 0600);
        BOOST_REQUIRE(queue >= 0);
        auto receiver = weft::spawn([&] {
            text got{};
            BOOST_TEST(::msgrcv(queue, &got, sizeof got.bytes, 5, 0) == 3);
            BOOST_TEST(std::string(got.bytes, 3) == "abc");
        });
        weft::this_fiber::yield();
        text const sent{.type = 5, .bytes = "abc"};
        BOOST_TEST(::msgsnd(queue, &sent, 3, 0) == 0);
        receiver.join();
        auto waiting = weft::spawn([&] {
            text got{};
            BOOST_TEST(::msgrcv(queue, &got, sizeof got.bytes, 5, 0) == -1);
            BOOST_TEST(errno == EIDRM);
        });
        weft::this_fiber::yield();
        ::msgctl(queue, IPC_RMID, nullptr);
    });
}

BOOST_AUTO_TEST_CASE(system_v_semaphores) {
    weft::run([] {
        int const set = ::semget(IPC_PRIVATE, 1, 0600);
        BOOST_REQUIRE(set >= 0);
        auto taker = weft::spawn([&] {
            sembuf take{.sem_num = 0, .sem_op = -2, .sem_flg = 0};
            BOOST_TEST(::semop(set, &take, 1) == 0);
        });
        weft::this_fiber::yield();
        sembuf give{.sem_num = 0, .sem_op = 2, .sem_flg = 0};
        BOOST_TEST(::semop(set, &give, 1) == 0);
        taker.join();
        auto const begin = weft::clock::now();
        sembuf take{.sem_num = 0, .sem_op = -1, .sem_flg = 0};
        timespec const limit{.tv_sec = 0, .tv_nsec = 20'000'000};
        BOOST_TEST(::semtimedop(set, &take, 1, &limit) == -1);
        BOOST_TEST(errno == EAGAIN);
        BOOST_TEST((weft::clock::now() - begin >= 20ms));
        ::semctl(set, 0, IPC_RMID);
    });
}

BOOST_AUTO_TEST_CASE(asynchronous_reads_are_waited_for) {
    weft::run([] {
        auto pipe = support::pipe_pair();
        std::array<char, 4> bytes{};
        aiocb request{};
        request.aio_fildes = pipe[0].get();
        request.aio_buf = bytes.data();
        request.aio_nbytes = bytes.size();
        request.aio_lio_opcode = LIO_READ;
        std::array<aiocb*, 1> all{&request};
        auto writer = weft::spawn([&] { ::write(pipe[1].get(), "abcd", 4); });
        BOOST_TEST(::lio_listio(LIO_WAIT, all.data(), 1, nullptr) == 0);
        BOOST_TEST(::aio_return(&request) == 4);

        BOOST_TEST(::aio_read(&request) == 0);
        auto again = weft::spawn([&] { ::write(pipe[1].get(), "efgh", 4); });
        aiocb const* const list[] = {&request};
        BOOST_TEST(::aio_suspend(list, 1, nullptr) == 0);
        BOOST_TEST(::aio_return(&request) == 4);
        timespec const none{};
        BOOST_TEST(::aio_read(&request) == 0);
        BOOST_TEST(::aio_suspend(list, 1, &none) == -1);
        BOOST_TEST(errno == EAGAIN);
        ::write(pipe[1].get(), "ijkl", 4);
        BOOST_TEST(::aio_suspend(list, 1, nullptr) == 0);
    });
}
