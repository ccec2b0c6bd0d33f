// libweft_preload.so: the patch layer for programs that were not built with weft. Loaded by LD_PRELOAD (`weft run` sets it),
// it runs the program's main() as a fiber, on the main thread's own stack.
//
// From the environment:
//   WEFT_RUN_STATISTICS=PID   at its exit, process PID prints on stderr how often it parked and what it called
//   WEFT_RUN_PROCESS=PID      the process that weft run was asked to run, and that must not run without
//   WEFT_RUN_FILES=1          patch_options::files
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>

#include <weft/detail/call_counts.hpp>
#include <weft/detail/system_call.hpp>
#include <weft/patch.hpp>
#include <weft/run.hpp>

#include "epoll_engine.hpp"
#include "patch/libc_function.hpp"

namespace {

using main_function = int(int, char**, char**);

main_function* program_main = nullptr;
int statistics_output = -1; // none are wanted, or they are printed
pid_t program_process = -1;

// Programs close their standard error at exit, before us.
int keep_standard_error() noexcept {
    constexpr int out_of_the_way = 900;
    int const kept = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, out_of_the_way);
    return kept >= 0 ? kept : STDERR_FILENO;
}

bool is_set(char const* variable) noexcept {
    char const* const value = std::getenv(variable);
    return value != nullptr && *value != '\0';
}

bool is_own_process(char const* variable) noexcept {
    char const* const process = std::getenv(variable);
    return process != nullptr && std::atol(process) == ::getpid();
}

// Not in processes that the program has forked.
void print_statistics() noexcept {
    if (statistics_output < 0 || ::getpid() != program_process)
        return;
    weft::detail::call_counts const& counts = weft::detail::thread_counts;
    ::dprintf(statistics_output, "weft: parked %llu times, %llu patched calls, %llu offloaded\n",
              static_cast<unsigned long long>(counts.parked), static_cast<unsigned long long>(counts.patched),
              static_cast<unsigned long long>(counts.offloaded));
    statistics_output = -1;
}

int main_on_fiber(int argc, char** argv, char** environment) {
    try {
        weft::patch({.files = is_set("WEFT_RUN_FILES")});
    } catch (std::exception const& failure) {
        // A program that this one has started, and that brings libraries of its own, goes on without.
        if (!is_own_process("WEFT_RUN_PROCESS"))
            return program_main(argc, argv, environment);
        ::dprintf(STDERR_FILENO, "weft: this program can't be run patched: %s\n", failure.what());
        ::_exit(126);
    }
    if (is_own_process("WEFT_RUN_STATISTICS")) {
        program_process = ::getpid();
        statistics_output = keep_standard_error();
        std::atexit(print_statistics);
    }
    using weft::detail::epoll_engine;
    weft::run_options options;
    options.find_dead_ends = false; // the program may wait for its own signals' handlers, or to be ended
    options.make_engine = [] { return std::make_unique<epoll_engine>(epoll_engine::opening::when_needed); };
    return weft::run([=] { return program_main(argc, argv, environment); }, options);
}

} // namespace

extern "C" {

// Asked for by a weft that is linked into the program: the two would be in each other's way.
void weft_preloaded() {}

void _exit(int status) {
    print_statistics();
    for (;;)
        weft::detail::system_call(SYS_exit_group, status);
}
void _Exit(int status) noexcept { _exit(status); }

int __libc_start_main(main_function* main, int argc, char** argv, void (*init)(), void (*fini)(),
                      void (*rtld_fini)(), void* stack_end) {
    using start = int(main_function*, int, char**, void (*)(), void (*)(), void (*)(), void*);
    program_main = main;
    auto const libc_start = reinterpret_cast<start*>(weft::detail::find_next("__libc_start_main"));
    return libc_start(main_on_fiber, argc, argv, init, fini, rtld_fini, stack_end);
}

} // extern "C"
