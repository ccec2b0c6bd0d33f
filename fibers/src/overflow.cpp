#include "overflow.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>

#include <weft/detail/fiber_core.hpp>

#include "stack_pool.hpp"
#include "worker.hpp"

namespace weft::detail {
namespace {

constexpr std::size_t signal_stack_size = std::size_t{64} * 1024;
constexpr std::array handled_signals{SIGSEGV, SIGBUS};

// What was installed before us, by position in handled_signals. Written once, before our handler is in place.
std::array<struct sigaction, handled_signals.size()> previous_actions;

thread_local std::unique_ptr<char[]> signal_stack;

// In a signal handler: only write() and what it formats by hand.
class message {
public:
    message& operator<<(char const* text) noexcept {
        std::size_t const length = std::min(std::strlen(text), text_.size() - used_);
        std::memcpy(text_.data() + used_, text, length);
        used_ += length;
        return *this;
    }

    message& operator<<(std::size_t number) noexcept {
        std::array<char, 24> digits{};
        std::size_t at = digits.size() - 1;
        do {
            digits[--at] = static_cast<char>('0' + number % 10);
            number /= 10;
        } while (number != 0);
        return *this << &digits[at];
    }

    void print() const noexcept {
        if (::write(STDERR_FILENO, text_.data(), used_) < 0) {
            // There is nobody else to tell.
        }
    }

private:
    std::array<char, 512> text_{};
    std::size_t used_ = 0;
};

bool in_guard(stack_memory const& stack, void const* address) noexcept {
    if (stack.pool == nullptr)
        return false;
    auto const* const at = static_cast<char const*>(address);
    return at >= stack.low - stack_pool::guard_size && at < stack.low;
}

[[noreturn]] void report(fiber_core const& fiber) noexcept {
    std::size_t const size = (fiber.stack.size + stack_pool::guard_size) / 1024;
    message text;
    text << "weft: fiber \"" << fiber.name << "\" overflowed its stack of " << size
         << " KiB; give it more with weft::spawn_options::stack_size, or all fibers with "
            "weft::run_options::stack_size\n";
    text.print();
    std::abort();
}

void on_fault(int signal, siginfo_t* info, void* context) {
    // Not current_fiber: the patch layer takes that away while a handler runs.
    fiber_core const* const running = this_worker != nullptr ? &this_worker->running() : nullptr;
    if (running != nullptr && info->si_code > 0 && in_guard(running->stack, info->si_addr)) {
        current_fiber = nullptr; // what abort() does must not be taken for the fiber's calls
        report(*running);
    }
    struct sigaction const& previous = previous_actions[signal == SIGSEGV ? 0 : 1];
    if ((previous.sa_flags & SA_SIGINFO) != 0) {
        previous.sa_sigaction(signal, info, context);
    } else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
        // Returning repeats the faulting instruction, now with the default action.
        ::signal(signal, SIG_DFL);
        if (info->si_code <= 0)
            ::raise(signal);
    } else {
        previous.sa_handler(signal);
    }
}

} // namespace

void install_overflow_handler() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action {};
        action.sa_sigaction = on_fault;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigemptyset(&action.sa_mask);
        for (std::size_t i = 0; i < handled_signals.size(); ++i) {
            ::sigaction(handled_signals[i], nullptr, &previous_actions[i]);
            ::sigaction(handled_signals[i], &action, nullptr);
        }
    });
}

void install_overflow_stack() {
    stack_t present{};
    if (::sigaltstack(nullptr, &present) == 0 && (present.ss_flags & SS_DISABLE) == 0)
        return;
    signal_stack = std::make_unique<char[]>(signal_stack_size);
    stack_t stack{};
    stack.ss_sp = signal_stack.get();
    stack.ss_size = signal_stack_size;
    ::sigaltstack(&stack, nullptr);
}

void remove_overflow_stack() noexcept {
    if (!signal_stack)
        return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    ::sigaltstack(&none, nullptr);
    signal_stack.reset();
}

} // namespace weft::detail
