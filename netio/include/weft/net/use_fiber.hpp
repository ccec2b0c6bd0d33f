// use_fiber: the completion token with which asynchronous operations of Asio, and of libraries built on it, are called in blocking style.
//
//     std::size_t const n = socket.async_read_some(boost::asio::buffer(bytes), weft::net::use_fiber);
//     beast::websocket::stream<tcp::socket> websocket(std::move(socket));
//     websocket.async_accept(weft::net::use_fiber);
//     websocket.async_read(message, weft::net::use_fiber[error]);
//
// The operation begins on the calling fiber, which then waits until the handler is called, on whatever thread: that of another
// worker, or one that runs an io_context of the program's. Where to get one that needs no thread: io_context_for_this_worker.hpp.
//
// Result: what the handler gets without its error. Nothing, a value, or std::tuple of several. Of an operation with several signatures,
// std::variant of those that differ (std::monostate for nothing).
// Errors: an error_code that comes first is thrown as boost::system::system_error (a std::error_code as std::system_error), or stored
// by use_fiber[error]; a std::exception_ptr that comes first is thrown. If the handler is destroyed without being called, because
// its io_context is, or the operation was dropped: system_error with operation_aborted, also with use_fiber[error].
//
// Cancellation: if the fiber is cancelled, the operation is asked to end (terminal, partial or total: what it knows), and the fiber waits
// until it has, as the operation refers to buffers of the fiber's. How long that takes is the operation's: async_resolve, say,
// waits for getaddrinfo. Then weft::cancelled is thrown, also with use_fiber[error]; but if the operation succeeded all the
// same, its result is returned, and the next wait throws. as_tuple(use_fiber) and redirect_error(use_fiber, error) make a value of the
// error before use_fiber sees it, so that also such an end is a value: operation_aborted, say, with this_fiber::is_cancelled() true. In a fiber
// that is cancelled already, nothing is begun. While an exception is in flight, the wait is not cancelled. With bind_cancellation_slot,
// that slot counts instead of the fiber's cancellation.
//
// The request to end is made where the steps of the operation run, as Asio's signals are not thread-safe: it is posted to the executor that
// bind_executor names, else to that of the operation, or, if it has none that can be told (async_compose without I/O objects), made on
// the calling fiber. So for operations of several steps on an io_context that several threads run, bind a strand, as with every
// handler in Asio.
//
// A fiber of the same worker may close the I/O object on which another waits. It may destroy it, too, but not between that one's cancellation
// and the end of its call: what the request to end comes to refers to the object.
//
// On a plain thread, the thread is blocked; it must not be the only one that runs the operation's io_context. A handler that runs on the
// fiber of io_context_for_this_worker can't use it: std::logic_error. Costs no allocation beside the operation's own, but to cancel it.
//
// Not in weft/weft.hpp: with Asio's headers, that would take twice as long to compile.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/system/system_error.hpp>

#include <weft/cancel_scope.hpp>
#include <weft/detail/asio_lists.hpp> // used by its being included
#include <weft/detail/completion_wait.hpp>
#include <weft/detail/own_wait.hpp>
#include <weft/detail/spinlock.hpp>

namespace weft::net {

class use_fiber_t {
public:
    constexpr use_fiber_t() noexcept = default;

    // The token that stores the error (or success) there.
    [[nodiscard]] constexpr use_fiber_t operator[](boost::system::error_code& error) const noexcept {
        return use_fiber_t(&error);
    }

    [[nodiscard]] constexpr boost::system::error_code* error() const noexcept { return error_; }

    // I/O objects for which it is the default token: use_fiber_t::as_default_on_t<tcp::socket>.
    template <class Executor> struct executor_with_default : Executor {
        using default_completion_token_type = use_fiber_t;

        executor_with_default(Executor const& executor) noexcept : Executor(executor) {}
        template <class Other, class = std::enable_if_t<!std::is_same_v<Other, executor_with_default> &&
                                                        std::is_convertible_v<Other, Executor>>>
        executor_with_default(Other const& executor) noexcept : Executor(executor) {}
    };
    template <class T>
    using as_default_on_t =
        typename T::template rebind_executor<executor_with_default<typename T::executor_type>>::other;

private:
    constexpr explicit use_fiber_t(boost::system::error_code* error) noexcept : error_(error) {}

    boost::system::error_code* error_ = nullptr; // null: errors are thrown
};

inline constexpr use_fiber_t use_fiber;

namespace detail {

using weft::detail::cancellation;

// R(Args...) without qualifiers.
template <class Signature> struct plain_signature;
template <class R, class... Args> struct plain_signature<R(Args...)> { using type = R(Args...); };
template <class R, class... Args> struct plain_signature<R(Args...)&> { using type = R(Args...); };
template <class R, class... Args> struct plain_signature<R(Args...) &&> { using type = R(Args...); };
template <class R, class... Args> struct plain_signature<R(Args...) noexcept> { using type = R(Args...); };
template <class R, class... Args> struct plain_signature<R(Args...)& noexcept> { using type = R(Args...); };
template <class R, class... Args> struct plain_signature<R(Args...)&& noexcept> { using type = R(Args...); };

template <class T>
inline constexpr bool is_error = std::is_same_v<T, boost::system::error_code> ||
                                 std::is_same_v<T, std::error_code> || std::is_same_v<T, std::exception_ptr>;

// What is left of a handler's arguments, given as std::tuple, and what the call returns of it.
template <class Tuple> struct outcome_of;
template <> struct outcome_of<std::tuple<>> {
    static constexpr std::size_t errors = 0;
    using values = std::tuple<>;
};
template <class First, class... Rest> struct outcome_of<std::tuple<First, Rest...>> {
    static constexpr std::size_t errors = is_error<First> ? 1 : 0;
    using values = std::conditional_t<is_error<First>, std::tuple<Rest...>, std::tuple<First, Rest...>>;
};
template <class Values> struct returned { using type = Values; };
template <> struct returned<std::tuple<>> { using type = void; };
template <class T> struct returned<std::tuple<T>> { using type = T; };

template <class Signature> struct arguments_of;
template <class R, class... Args> struct arguments_of<R(Args...)> {
    using type = std::tuple<std::decay_t<Args>...>;
};
template <class Signature>
using arguments = typename arguments_of<typename plain_signature<Signature>::type>::type;
template <class Signature>
using result_of = typename returned<typename outcome_of<arguments<Signature>>::values>::type;

// std::variant of different types, in the order in which they come first.
template <class T> using in_variant = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
template <class Variant, class... Ts> struct variant_of { using type = Variant; };
template <class... Have, class T, class... Ts>
struct variant_of<std::variant<Have...>, T, Ts...>
    : std::conditional_t<(std::is_same_v<T, Have> || ...), variant_of<std::variant<Have...>, Ts...>,
                         variant_of<std::variant<Have..., T>, Ts...>> {};

template <class... Signatures> struct operation_result_of;
template <class First, class... Others> struct operation_result_of<First, Others...> {
    static constexpr bool varies = !(std::is_same_v<result_of<First>, result_of<Others>> && ...);
    using type = typename std::conditional_t<
        varies, variant_of<std::variant<in_variant<result_of<First>>>, in_variant<result_of<Others>>...>,
        std::type_identity<result_of<First>>>::type;
};
template <class... Signatures> using operation_result = typename operation_result_of<Signatures...>::type;

// What doesn't depend on the signatures. On the stack of the one that waits, until the handler is gone.
class operation_base {
public:
    operation_base() = default;
    operation_base(operation_base const&) = delete;
    operation_base& operator=(operation_base const&) = delete;

    // True when the handler is gone, false if the fiber is cancelled.
    bool wait(cancellation cancels) noexcept { return wait_.wait("use_fiber", cancels); }

    // The handler's.
    void release() noexcept { wait_.release(); }
    [[nodiscard]] boost::asio::cancellation_slot slot() noexcept { return signal_.slot(); }

    // Asks the operation to end, where its steps run: here, if that is not known. Waits until it has.
    void end(std::nullptr_t /*executor*/) noexcept {
        {
            weft::detail::shield const whole;
            emit();
        }
        wait(cancellation::ignored);
    }
    template <class Executor> void end(Executor const& executor) noexcept {
        std::shared_ptr<request_target> asked;
        try {
            weft::detail::shield const whole;
            asked = std::make_shared<request_target>(*this);
            post_request(executor, asked);
        } catch (...) { // it can't be asked: so it ends when it ends
        }
        wait(cancellation::ignored);
        if (asked != nullptr)
            asked->forget();
    }

protected:
    ~operation_base() = default;

private:
    // By which a request finds the operation. The operation doesn't wait for the request, which may lie in the queue of an io_context that
    // nobody runs any more.
    class request_target {
    public:
        explicit request_target(operation_base& target) noexcept : target_(&target) {}

        // Nothing if the handler is gone.
        void emit() noexcept {
            std::unique_lock lock(lock_);
            operation_base* const target = target_;
            if (target == nullptr || !target->wait_.try_add_reference())
                return;
            lock.unlock(); // the operation may end meanwhile, but not go
            target->emit();
            target->release();
        }
        void forget() noexcept {
            std::scoped_lock const lock(lock_);
            target_ = nullptr;
        }

    private:
        weft::detail::spinlock lock_;
        operation_base* target_; // guarded by lock_
    };

    // Made when it has queued up a few times. So it doesn't overtake a handler that is queued because the I/O object was destroyed, which
    // the signal would still refer to: that handler may be kept back, with others that Asio queues for one that waits, and
    // be handed on to a strand then.
    template <class Executor> class request {
    public:
        request(Executor const& executor, std::shared_ptr<request_target> target) noexcept
            : executor_(executor), target_(std::move(target)) {}

        void operator()() noexcept {
            if (--turns_ == 0)
                return target_->emit();
            try {
                boost::asio::post(Executor(executor_), request(*this));
            } catch (...) { // as before: it can't be asked
            }
        }

    private:
        Executor executor_;
        std::shared_ptr<request_target> target_;
        int turns_ = 3;
    };

    // As long as the handler is not gone, the executor's context has work to do, so it is there; then this is some until the request
    // is posted.
    template <class Executor>
    void post_request(Executor const& executor, std::shared_ptr<request_target> const& target) {
        std::optional<boost::asio::executor_work_guard<Executor>> work;
        if (auto const held = wait_.hold())
            work.emplace(executor);
        if (work)
            boost::asio::post(executor, request<Executor>(executor, target));
    }

    void emit() noexcept {
        using boost::asio::cancellation_type;
        signal_.emit(cancellation_type::terminal | cancellation_type::partial | cancellation_type::total);
    }

    weft::detail::completion_wait wait_;
    boost::asio::cancellation_signal signal_;
};

template <class... Signatures> class operation final : public operation_base {
public:
    // Of the handler that is called with the arguments of signature `Index`. Threads: it is the only one by then.
    template <std::size_t Index, class... Args> void store(Args&&... args) noexcept {
        try {
            arguments_.template emplace<Index + 1>(std::forward<Args>(args)...);
        } catch (...) {
            failure_ = std::current_exception();
        }
    }

    // Once the handler is gone.
    operation_result<Signatures...> take(boost::system::error_code* stored, bool cancelled) {
        if (stored != nullptr)
            stored->clear(); // what the handler was called with may have no error
        if (failure_)
            std::rethrow_exception(failure_);
        return take_from<0>(stored, cancelled);
    }

private:
    using result = operation_result<Signatures...>;
    static constexpr bool varies = operation_result_of<Signatures...>::varies;

    template <std::size_t Index> result take_from(boost::system::error_code* stored, bool cancelled) {
        if constexpr (Index < sizeof...(Signatures)) {
            if (arguments_.index() != Index + 1)
                return take_from<Index + 1>(stored, cancelled);
            auto& all = std::get<Index + 1>(arguments_);
            using all_type = std::remove_reference_t<decltype(all)>;
            if constexpr (outcome_of<all_type>::errors != 0)
                check(std::get<0>(all), stored, cancelled);
            using values = typename outcome_of<all_type>::values;
            return values_of(all, static_cast<values*>(nullptr),
                             std::make_index_sequence<std::tuple_size_v<values>>());
        } else {
            if (stored != nullptr)
                *stored = boost::asio::error::operation_aborted;
            check(boost::system::error_code(boost::asio::error::operation_aborted), nullptr, cancelled,
                  "weft::net::use_fiber: the operation was dropped, its handler never called");
            __builtin_unreachable();
        }
    }

    template <class All, class Values, std::size_t... I>
    result values_of(All& all, Values* /*type*/, std::index_sequence<I...> /*indices*/) {
        constexpr std::size_t skipped = outcome_of<All>::errors;
        using value = in_variant<typename returned<Values>::type>;
        if constexpr (varies && sizeof...(I) <= 1)
            return result(std::in_place_type<value>, std::move(std::get<I + skipped>(all))...);
        else if constexpr (varies)
            return result(std::in_place_type<value>, Values(std::move(std::get<I + skipped>(all))...));
        else if constexpr (sizeof...(I) == 1)
            return std::move(std::get<skipped>(all));
        else if constexpr (sizeof...(I) > 1)
            return Values(std::move(std::get<I + skipped>(all))...);
    }

    // After a request to end, an error is the answer to it.
    static void check_cancelled(bool cancelled) {
        if (cancelled && this_fiber::is_cancelled())
            weft::detail::throw_cancelled();
    }
    static void check(boost::system::error_code const& error, boost::system::error_code* stored,
                      bool cancelled, char const* what = nullptr) {
        if (stored != nullptr)
            *stored = error;
        if (!error)
            return;
        check_cancelled(cancelled);
        if (what != nullptr)
            throw boost::system::system_error(error, what);
        if (stored == nullptr)
            throw boost::system::system_error(error);
    }
    static void check(std::error_code const& error, boost::system::error_code* stored, bool cancelled) {
        if (stored != nullptr)
            *stored = error;
        if (!error)
            return;
        check_cancelled(cancelled);
        if (stored == nullptr)
            throw std::system_error(error);
    }
    static void check(std::exception_ptr const& error, boost::system::error_code* /*stored*/,
                      bool cancelled) {
        if (!error)
            return;
        check_cancelled(cancelled);
        std::rethrow_exception(error);
    }

    std::variant<std::monostate, arguments<Signatures>...> arguments_;
    std::exception_ptr failure_; // of moving the arguments
};

// The handler's call for one signature.
template <class Handler, std::size_t Index, class Signature> struct handler_call;
template <class Handler, std::size_t Index, class R, class... Args>
struct handler_call<Handler, Index, R(Args...)> {
    void operator()(Args... args) {
        static_cast<Handler*>(this)->template complete<Index>(std::forward<Args>(args)...);
    }
};

template <class Indices, class... Signatures> class operation_handler;
template <std::size_t... I, class... Signatures>
class operation_handler<std::index_sequence<I...>, Signatures...>
    : public handler_call<operation_handler<std::index_sequence<I...>, Signatures...>, I,
                          typename plain_signature<Signatures>::type>... {
public:
    using handler_call<operation_handler, I, typename plain_signature<Signatures>::type>::operator()...;
    using cancellation_slot_type = boost::asio::cancellation_slot;

    operation_handler(operation<Signatures...>& target, cancellation_slot_type slot) noexcept
        : target_(&target), slot_(slot) {}
    operation_handler(operation_handler&& other) noexcept
        : target_(std::exchange(other.target_, nullptr)), slot_(other.slot_) {}
    operation_handler& operator=(operation_handler&&) = delete;
    ~operation_handler() {
        if (target_ != nullptr)
            target_->release();
    }

    [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept { return slot_; }

    template <std::size_t Index, class... Args> void complete(Args&&... args) noexcept {
        auto* const target = std::exchange(target_, nullptr);
        target->template store<Index>(std::forward<Args>(args)...);
        target->release();
    }

private:
    operation<Signatures...>* target_;
    cancellation_slot_type slot_;
};

// An operation made by async_compose without I/O objects names the system_executor, on which none of its steps runs.
template <class Executor> inline constexpr bool tells = !std::is_void_v<Executor>;
template <class... Properties>
inline constexpr bool tells<boost::asio::basic_system_executor<Properties...>> = false;

// Where the steps of an operation run: the initiation's executor, or that of the object that it is given; nullptr if there is none. Tokens
// that adapt another wrap the initiation; what bind_executor names counts.
inline std::nullptr_t executor_of() noexcept { return nullptr; }
template <class First, class... Rest> auto executor_of(First const& first, Rest const&... rest) noexcept {
    if constexpr (requires { requires tells<std::decay_t<decltype(first.get_executor())>>; })
        return std::decay_t<decltype(first.get_executor())>(first.get_executor());
    else if constexpr (requires { requires tells<std::decay_t<decltype(first->get_executor())>>; })
        return std::decay_t<decltype(first->get_executor())>(first->get_executor());
    else if constexpr (requires {
                           first.initiation_;
                           first.ex_;
                       })
        return std::decay_t<decltype(first.ex_)>(first.ex_);
    else if constexpr (requires { first.initiation_; })
        return executor_of(first.initiation_, rest...);
    else
        return executor_of(rest...);
}

template <class... Signatures, class Executor, class Begin>
operation_result<Signatures...> await_operation(use_fiber_t token, Executor const& executor, Begin begin) {
    cancellation const cancels = weft::detail::begin_operation();
    operation<Signatures...> awaited;
    bool const heeds = cancels == cancellation::heeded;
    try {
        weft::detail::shield const
            whole; // what Asio calls on the way is not cancelled: it would take it for the operation's end
        begin(operation_handler<std::index_sequence_for<Signatures...>, Signatures...>(
            awaited, heeds ? awaited.slot() : boost::asio::cancellation_slot()));
    } catch (...) {
        awaited.wait(cancellation::ignored); // it may have begun all the same
        throw;
    }
    bool const cancelled = !awaited.wait(cancels);
    if (cancelled)
        awaited.end(executor);
    return awaited.take(token.error(), cancelled);
}

} // namespace detail
} // namespace weft::net

// Initiations of Beast's are given 0 for a size.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"

namespace boost::asio {

template <class... Signatures> class async_result<weft::net::use_fiber_t, Signatures...> {
public:
    using return_type = weft::net::detail::operation_result<Signatures...>;

    template <class Initiation, class... Args>
    static return_type initiate(Initiation&& initiation, weft::net::use_fiber_t token, Args&&... args) {
        return weft::net::detail::await_operation<Signatures...>(
            token, weft::net::detail::executor_of(initiation, args...), [&](auto handler) {
                std::forward<Initiation>(initiation)(std::move(handler), std::forward<Args>(args)...);
            });
    }
};

// bind_executor(executor, use_fiber): the executor is where the operation is asked to end, too.
template <class Executor, class Signature>
class async_result<executor_binder<weft::net::use_fiber_t, Executor>, Signature> {
public:
    using return_type = weft::net::detail::operation_result<Signature>;

    template <class Initiation, class Token, class... Args>
    static return_type initiate(Initiation&& initiation, Token&& token, Args&&... args) {
        Executor const executor = token.get_executor();
        return weft::net::detail::await_operation<Signature>(token.get(), executor, [&](auto handler) {
            std::forward<Initiation>(initiation)(bind_executor(executor, std::move(handler)),
                                                 std::forward<Args>(args)...);
        });
    }
};

} // namespace boost::asio

#pragma GCC diagnostic pop
