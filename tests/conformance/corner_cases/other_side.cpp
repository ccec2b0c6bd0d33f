#include "other_side.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>
#include <utility>

#include "corner_case.hpp"
#include "endpoints.hpp"

namespace corner {
namespace {

std::atomic<unsigned> announced{0};
std::atomic<unsigned> seen{0};

// /proc's file on the thread of the case. Its number is out of the way, as cases look at those that they get.
int state_file = -1;

void open_state_file() {
    constexpr long out_of_the_way = highest_of_a_case + 1;
    std::string const name = "/proc/self/task/" + std::to_string(::gettid()) + "/stat";
    long const file = ::syscall(SYS_openat, AT_FDCWD, name.c_str(), O_RDONLY | O_CLOEXEC);
    if (state_file >= 0)
        ::syscall(SYS_close, state_file);
    state_file = static_cast<int>(::syscall(SYS_fcntl, file, F_DUPFD_CLOEXEC, out_of_the_way));
    ::syscall(SYS_close, file);
    REQUIRE(state_file >= 0);
}

void pause_between_looks() {
    timespec const moment{.tv_sec = 0, .tv_nsec = 100'000};
    ::syscall(SYS_nanosleep, &moment, nullptr);
}

// Between two waits a thread may sleep for a moment, for a lock in the kernel or the C library.
constexpr int looks_before_a_call_waits = 8;
// A call that is interrupted may have much to do before it returns: another thread to be stopped, for instance.
constexpr int looks_before_it_goes_on = 60;

template <class Stop> bool wait_for_sleep(int looks, Stop stop) {
    for (int asleep = 0; asleep < looks; pause_between_looks()) {
        if (stop())
            return false;
        asleep = case_waits() ? asleep + 1 : 0;
    }
    return true;
}

} // namespace

bool (*case_waits)() = case_thread_sleeps;

bool case_thread_sleeps() {
    std::array<char, 256> text{};
    ::syscall(SYS_pread64, state_file, text.data(), text.size() - 1, 0L);
    char const* const name_end = std::strrchr(text.data(), ')');
    return name_end != nullptr && name_end[2] == 'S';
}

other_side::other_side(std::function<void()> act) : act_(std::move(act)) {
    open_state_file();
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread([this] {
        act_();
        done_.store(true);
    }).detach();
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

other_side::~other_side() {
    while (!done_.load())
        let_others_run();
}

void about_to_wait() { announced.fetch_add(1); }

void until_case_waits() {
    while (announced.load() == seen.load())
        pause_between_looks();
    seen.fetch_add(1);
    wait_for_sleep(looks_before_a_call_waits, [] { return false; });
}

bool until_case_waits_again(std::atomic<bool> const& returned) {
    return wait_for_sleep(looks_before_it_goes_on, [&returned] { return returned.load(); });
}

void let_others_run() { ::syscall(SYS_sched_yield); }

} // namespace corner
