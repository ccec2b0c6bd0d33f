// stack_pool: reuse, return from elsewhere, and the fall-back where the kernel has no guard markers.
#include "stack_pool.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "support/child.hpp"
#include "support/memory.hpp"

namespace {

using weft::detail::stack_memory;
using weft::detail::stack_pool;

constexpr std::size_t size = 256 * 1024;

void touch(stack_memory const& stack) {
    for (std::size_t i = 0; i < stack.size; i += 4096)
        stack.low[i] = 1;
}

// From here on, madvise(MADV_GUARD_INSTALL) fails as on a kernel that doesn't know it.
void forget_guard_markers() {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 102, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    sock_fprog program{.len = sizeof filter / sizeof *filter, .filter = filter};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        std::abort();
}

// Writes right below a stack of a pool.
int hit_guard() {
    stack_pool* const pool = stack_pool::create();
    stack_memory const one = pool->allocate(size);
    stack_memory const two = pool->allocate(size);
    touch(one);
    touch(two);
    std::signal(SIGSEGV, SIG_DFL);
    *const_cast<char volatile*>(two.low - 1) = 1;
    return 0;
}

} // namespace

BOOST_AUTO_TEST_CASE(the_last_one_freed_is_used_first) {
    stack_pool* const pool = stack_pool::create();
    stack_memory const a = pool->allocate(size);
    stack_memory const b = pool->allocate(size);
    BOOST_TEST((a.low != b.low));
    BOOST_TEST(a.size == size - stack_pool::guard_size);
    pool->release(a);
    BOOST_TEST((pool->allocate(size).low == a.low));
    pool->release(a);
    pool->release(b);
    pool->abandon();
}

BOOST_AUTO_TEST_CASE(sizes_do_not_mix) {
    stack_pool* const pool = stack_pool::create();
    stack_memory const small = pool->allocate(1);
    BOOST_TEST(small.size == stack_pool::smallest_stack - stack_pool::guard_size);
    pool->release(small);
    stack_memory const large = pool->allocate(std::size_t{100} << 20);
    BOOST_TEST(large.size == (std::size_t{100} << 20) - stack_pool::guard_size);
    touch(large);
    pool->release(large);
    pool->abandon();
}

BOOST_AUTO_TEST_CASE(a_stack_given_back_by_another_thread_is_used_again) {
    stack_pool* const pool = stack_pool::create();
    stack_memory const a = pool->allocate(size);
    touch(a);
    std::thread([&] { pool->release_remote(a); }).join();
    BOOST_TEST((pool->allocate(size).low == a.low));
    pool->release(a);
    pool->abandon();
}

BOOST_AUTO_TEST_CASE(the_pool_outlives_its_worker_until_the_last_stack_is_back) {
    stack_pool* const pool = stack_pool::create();
    std::vector<stack_memory> stacks;
    for (int i = 0; i < 10; ++i)
        stacks.push_back(pool->allocate(size));
    auto const mappings = support::mapping_count();
    std::thread([&] { pool->release_remote(stacks.back()); }).join();
    stacks.pop_back();
    pool->abandon();
    for (stack_memory const& stack : stacks) {
        touch(stack);
        pool->release_remote(stack);
    }
    BOOST_TEST(support::mapping_count() < mappings);
}

BOOST_AUTO_TEST_CASE(trimming_keeps_the_top_of_a_few_and_nothing_of_the_others) {
    stack_pool* const pool = stack_pool::create();
    std::vector<stack_memory> stacks;
    for (int i = 0; i < 200; ++i)
        stacks.push_back(pool->allocate(size));
    auto const before = support::resident_bytes();
    for (stack_memory const& stack : stacks)
        touch(stack);
    BOOST_TEST(support::resident_bytes() > before + 200 * (size - 4 * stack_pool::guard_size));
    for (stack_memory const& stack : stacks)
        pool->release(stack);
    pool->trim();
    BOOST_TEST(!pool->wants_trim());
    if (!support::sanitized)
        BOOST_TEST(support::resident_bytes() < before + 64 * 20 * 1024 + 1024 * 1024);
    // What was trimmed is there again when it is needed.
    for (stack_memory& stack : stacks) {
        stack = pool->allocate(size);
        touch(stack);
        pool->release(stack);
    }
    pool->abandon();
}

BOOST_AUTO_TEST_CASE(the_guard_is_there) { BOOST_TEST(support::in_child(hit_guard).killed_by(SIGSEGV)); }

BOOST_AUTO_TEST_CASE(the_guard_is_there_on_kernels_without_markers) {
    auto const result = support::in_child([] {
        forget_guard_markers();
        return hit_guard();
    });
    BOOST_TEST(result.killed_by(SIGSEGV));
}
