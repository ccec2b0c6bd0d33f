// The patched calls of the DNS resolver: resolver(3). Another thread asks the name servers.
//
// The calls without a state of their own have the thread's, `_res`. The asking thread has one of its own, read from the same
// files; what programs set in theirs (options, retrans, retry) goes along.
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include <cerrno>

#include <weft/detail/offload.hpp>

#include "libc_function.hpp"
#include "on_fiber.hpp"

using weft::detail::libc_function;
using weft::detail::offload;
using weft::detail::on_fiber;

namespace {

constexpr libc_function<"res_query", int(char const*, int, int, unsigned char*, int)> libc_query;
constexpr libc_function<"res_search", int(char const*, int, int, unsigned char*, int)> libc_search;
constexpr libc_function<"res_querydomain", int(char const*, char const*, int, int, unsigned char*, int)>
    libc_querydomain;
constexpr libc_function<"res_send", int(unsigned char const*, int, unsigned char*, int)> libc_send;
constexpr libc_function<"res_nquery", int(res_state, char const*, int, int, unsigned char*, int)> libc_nquery;
constexpr libc_function<"res_nsearch", int(res_state, char const*, int, int, unsigned char*, int)>
    libc_nsearch;
constexpr libc_function<"res_nquerydomain",
                        int(res_state, char const*, char const*, int, int, unsigned char*, int)>
    libc_nquerydomain;
constexpr libc_function<"res_nsend", int(res_state, unsigned char const*, int, unsigned char*, int)>
    libc_nsend;

struct settings {
    unsigned long options;
    int retrans;
    int retry;

    static settings of_this_thread() noexcept { return {_res.options, _res.retrans, _res.retry}; }
    void apply() const noexcept {
        _res.options = options;
        _res.retrans = retrans;
        _res.retry = retry;
    }
};

// As another thread has it; h_errno is the calling thread's then.
template <class Call> int ask(char const* operation, Call call) noexcept {
    int host_error = 0;
    int const result = offload(operation, [&] {
        int const answer = call();
        host_error = h_errno;
        return answer;
    });
    h_errno = host_error;
    return result;
}

template <class Call> int ask_with_settings(char const* operation, Call call) noexcept {
    bool const set = (_res.options & RES_INIT) != 0;
    settings const ours = settings::of_this_thread();
    return ask(operation, [&] {
        if (!set)
            return call();
        if ((_res.options & RES_INIT) == 0 && ::res_init() != 0)
            return -1;
        settings const theirs = settings::of_this_thread();
        ours.apply();
        int const answer = call();
        theirs.apply();
        return answer;
    });
}

} // namespace

extern "C" {

int res_query(char const* name, int type_class, int type, unsigned char* answer, int room) noexcept {
    auto const call = [=] { return libc_query(name, type_class, type, answer, room); };
    return on_fiber() ? ask_with_settings("res_query", call) : call();
}
int res_search(char const* name, int type_class, int type, unsigned char* answer, int room) noexcept {
    auto const call = [=] { return libc_search(name, type_class, type, answer, room); };
    return on_fiber() ? ask_with_settings("res_search", call) : call();
}
int res_querydomain(char const* name, char const* domain, int type_class, int type, unsigned char* answer,
                    int room) noexcept {
    auto const call = [=] { return libc_querydomain(name, domain, type_class, type, answer, room); };
    return on_fiber() ? ask_with_settings("res_querydomain", call) : call();
}
int res_send(unsigned char const* question, int length, unsigned char* answer, int room) noexcept {
    auto const call = [=] { return libc_send(question, length, answer, room); };
    return on_fiber() ? ask_with_settings("res_send", call) : call();
}

int res_nquery(res_state state, char const* name, int type_class, int type, unsigned char* answer,
               int room) noexcept {
    auto const call = [=] { return libc_nquery(state, name, type_class, type, answer, room); };
    return on_fiber() ? ask("res_nquery", call) : call();
}
int res_nsearch(res_state state, char const* name, int type_class, int type, unsigned char* answer,
                int room) noexcept {
    auto const call = [=] { return libc_nsearch(state, name, type_class, type, answer, room); };
    return on_fiber() ? ask("res_nsearch", call) : call();
}
int res_nquerydomain(res_state state, char const* name, char const* domain, int type_class, int type,
                     unsigned char* answer, int room) noexcept {
    auto const call = [=] { return libc_nquerydomain(state, name, domain, type_class, type, answer, room); };
    return on_fiber() ? ask("res_nquerydomain", call) : call();
}
int res_nsend(res_state state, unsigned char const* question, int length, unsigned char* answer,
              int room) noexcept {
    auto const call = [=] { return libc_nsend(state, question, length, answer, room); };
    return on_fiber() ? ask("res_nsend", call) : call();
}

// libc's own older names, which old binaries call.
int __res_query(char const*, int, int, unsigned char*, int) noexcept __attribute__((alias("res_query")));
int __res_search(char const*, int, int, unsigned char*, int) noexcept __attribute__((alias("res_search")));
int __res_querydomain(char const*, char const*, int, int, unsigned char*, int) noexcept
    __attribute__((alias("res_querydomain")));
int __res_send(unsigned char const*, int, unsigned char*, int) noexcept __attribute__((alias("res_send")));
int __res_nquery(res_state, char const*, int, int, unsigned char*, int) noexcept
    __attribute__((alias("res_nquery")));
int __res_nsearch(res_state, char const*, int, int, unsigned char*, int) noexcept
    __attribute__((alias("res_nsearch")));
int __res_nquerydomain(res_state, char const*, char const*, int, int, unsigned char*, int) noexcept
    __attribute__((alias("res_nquerydomain")));
int __res_nsend(res_state, unsigned char const*, int, unsigned char*, int) noexcept
    __attribute__((alias("res_nsend")));

} // extern "C"
