// weft::patch(): the proof, and files as an option.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>

#include <boost/test/unit_test.hpp>

#include <weft/detail/call_counts.hpp>
#include <weft/fiber.hpp>
#include <weft/patch.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/this_fiber.hpp>

#include "support/sockets.hpp"

namespace {

struct with_files {
    with_files() { weft::patch({.files = true}); }
    ~with_files() { weft::patch(); }
};

// A file that is gone afterwards.
class temporary_file {
public:
    temporary_file() { fd_ = support::unique_fd(::mkstemp(path_.data())); }
    temporary_file(temporary_file const&) = delete;
    temporary_file& operator=(temporary_file const&) = delete;
    ~temporary_file() { ::unlink(path_.data()); }

    [[nodiscard]] char const* path() const { return path_.data(); }
    [[nodiscard]] int fd() const { return fd_.get(); }

private:
    std::string path_ = "/tmp/weft-test-XXXXXX";
    support::unique_fd fd_;
};

std::uint64_t offloaded_by(auto const& call) {
    std::uint64_t const before = weft::detail::thread_counts.offloaded;
    call();
    return weft::detail::thread_counts.offloaded - before;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_linked_program_is_patched) { BOOST_CHECK_NO_THROW(weft::patch()); }

BOOST_AUTO_TEST_CASE(files_are_offloaded_where_asked_for) {
    temporary_file const file;
    std::string text(100'000, 'f');
    weft::run([&] {
        auto const all_calls = [&] {
            support::unique_fd const again(::open(file.path(), O_RDWR));
            BOOST_TEST(::pwrite(again.get(), text.data(), text.size(), 3) == 100'000);
            BOOST_TEST(::fsync(again.get()) == 0);
            BOOST_TEST(::fdatasync(again.get()) == 0);
            BOOST_TEST(::lseek(again.get(), 0, SEEK_END) >= 100'003);
            BOOST_TEST(::write(again.get(), "x", 1) == 1);
        };
        BOOST_TEST(offloaded_by(all_calls) == 0U);
        with_files const option;
        BOOST_TEST(offloaded_by(all_calls) >= 4U);
        std::string read(100'003, '\0');
        // In memory: no need to.
        BOOST_TEST(offloaded_by([&] {
                       BOOST_TEST(::pread(file.fd(), read.data(), read.size(), 0) == 100'003);
                       ::lseek(file.fd(), 3, SEEK_SET);
                       BOOST_TEST(::read(file.fd(), read.data() + 3, 100'000) == 100'000);
                   }) <= 2U);
        BOOST_TEST((read.substr(3) == text));
        BOOST_TEST(::pread(file.fd(), read.data(), 1, -1) == -1);
        BOOST_TEST(errno == EINVAL);
    });
}

// What a page cache holds a part of comes whole, with and without.
BOOST_AUTO_TEST_CASE(a_file_is_read_whole) {
    temporary_file const file;
    std::string const text = support::pattern(3'000'000);
    BOOST_REQUIRE(::write(file.fd(), text.data(), text.size()) == 3'000'000);
    ::fsync(file.fd());
    for (bool const files : {false, true})
        weft::run([&] {
            weft::patch({.files = files});
            ::posix_fadvise(file.fd(), 1'000'000, 1'000'000, POSIX_FADV_DONTNEED);
            std::string read(text.size(), '\0');
            ::lseek(file.fd(), 0, SEEK_SET);
            BOOST_TEST(::read(file.fd(), read.data(), read.size()) == 3'000'000);
            BOOST_TEST((read == text));
            ::posix_fadvise(file.fd(), 1'000'000, 1'000'000, POSIX_FADV_DONTNEED);
            BOOST_TEST(::pread(file.fd(), read.data(), read.size(), 5) == 2'999'995);
            BOOST_TEST((read.substr(0, 2'999'995) == text.substr(5)));
            weft::patch();
        });
}

BOOST_AUTO_TEST_CASE(locks_on_files_are_waited_for) {
    temporary_file const file;
    weft::run([&] {
        with_files const option;
        support::unique_fd const other(::open(file.path(), O_RDWR));
        BOOST_TEST(::flock(file.fd(), LOCK_EX) == 0);
        auto locker = weft::spawn([&] { return ::flock(other.get(), LOCK_EX); });
        weft::this_fiber::yield();
        BOOST_TEST(::flock(file.fd(), LOCK_UN) == 0);
        BOOST_TEST(locker.get() == 0);

        struct flock section {};
        section.l_type = F_WRLCK;
        BOOST_TEST(::fcntl(file.fd(), F_OFD_SETLKW, &section) == 0);
        auto second = weft::spawn([&] {
            struct flock mine {};
            mine.l_type = F_WRLCK;
            return ::fcntl(other.get(), F_OFD_SETLKW, &mine);
        });
        weft::this_fiber::yield();
        section.l_type = F_UNLCK;
        BOOST_TEST(::fcntl(file.fd(), F_OFD_SETLK, &section) == 0);
        BOOST_TEST(second.get() == 0);
    });
}

// The thread that makes the call must get out of the kernel, too.
BOOST_AUTO_TEST_CASE(a_handler_ends_an_offloaded_call) {
    static int handled;
    temporary_file const file;
    weft::run([&] {
        with_files const option;
        struct sigaction action {};
        action.sa_handler = [](int) { ++handled; };
        ::sigaction(SIGUSR1, &action, nullptr);
        support::unique_fd const other(::open(file.path(), O_RDWR));
        BOOST_TEST(::flock(other.get(), LOCK_EX) == 0);
        std::string const fifo = std::string(file.path()) + ".fifo";
        BOOST_REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
        for (int i = 0; i < 20; ++i) {
            auto killer = weft::spawn([] { ::kill(::getpid(), SIGUSR1); }); // runs when main waits
            BOOST_TEST(::flock(file.fd(), LOCK_EX) == -1);
            BOOST_TEST(errno == EINTR);
            auto again = weft::spawn([] { ::kill(::getpid(), SIGUSR1); });
            BOOST_TEST(::open(fifo.c_str(), O_RDONLY) == -1);
            BOOST_TEST(errno == EINTR);
        }
        BOOST_TEST(handled == 40);
        // Nobody has it open for reading any more.
        BOOST_TEST(::open(fifo.c_str(), O_WRONLY | O_NONBLOCK) == -1);
        BOOST_TEST(errno == ENXIO);
        ::unlink(fifo.c_str());
        BOOST_TEST(::flock(other.get(), LOCK_UN) == 0);
        BOOST_TEST(::flock(file.fd(), LOCK_EX | LOCK_NB) == 0); // the call that was ended has left no lock
    });
}

BOOST_AUTO_TEST_CASE(both_ends_of_a_fifo_are_opened_on_one_worker) {
    temporary_file const file;
    std::string const fifo = std::string(file.path()) + ".fifo";
    BOOST_REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    weft::run([&] {
        auto writer = weft::spawn([&] {
            support::unique_fd const end(::open(fifo.c_str(), O_WRONLY));
            BOOST_TEST(::write(end.get(), "through", 7) == 7);
        });
        support::unique_fd const end(::open(fifo.c_str(), O_RDONLY));
        std::array<char, 16> buffer{};
        BOOST_TEST(::read(end.get(), buffer.data(), buffer.size()) == 7);
        writer.join();
        BOOST_TEST(::read(end.get(), buffer.data(), buffer.size()) == 0);
    });
    ::unlink(fifo.c_str());
}
