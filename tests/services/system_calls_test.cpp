// System calls found in code, of both instruction sets whichever this machine's is: the bytes are assemblers' output.
#include "system_calls.hpp"

#include <cstdint>
#include <initializer_list>
#include <vector>

#include <boost/test/unit_test.hpp>

using weft::services::blocking_system_call;
using weft::services::elf_code;
using weft::services::find_calls_of_syscall;
using weft::services::find_system_calls;
using weft::services::instruction_set;

namespace {

constexpr std::uint64_t start = 0x10000;

std::vector<elf_code> code(std::vector<unsigned char> const& bytes) { return {{start, bytes}}; }

std::vector<elf_code> words(std::initializer_list<std::uint32_t> instructions) {
    std::vector<unsigned char> bytes;
    for (std::uint32_t const each : instructions)
        for (unsigned shift = 0; shift < 32; shift += 8)
            bytes.push_back(static_cast<unsigned char>(each >> shift));
    return code(bytes);
}

} // namespace

BOOST_AUTO_TEST_SUITE(x86_64)

BOOST_AUTO_TEST_CASE(the_number_is_what_was_loaded_before) {
    auto const found =
        find_system_calls(instruction_set::x86_64, code({0xb8, 0xca, 0, 0, 0,    // mov $202,%eax
                                                         0x45, 0x31, 0xd2,       // xor %r10d,%r10d
                                                         0x48, 0x89, 0xdf,       // mov %rbx,%rdi
                                                         0x8b, 0x35, 1, 2, 3, 4, // mov 0x4030201(%rip),%esi
                                                         0x0f, 0x05}));          // syscall
    BOOST_REQUIRE_EQUAL(found.size(), 1);
    BOOST_TEST(found[0].address == start + 17);
    BOOST_TEST(found[0].number.value() == 202);
}

BOOST_AUTO_TEST_CASE(clearing_the_register_is_number_0) {
    auto const found = find_system_calls(instruction_set::x86_64, code({0x31, 0xc0, 0x0f, 0x05}));
    BOOST_REQUIRE_EQUAL(found.size(), 1);
    BOOST_TEST(found[0].number.value() == 0);
}

BOOST_AUTO_TEST_CASE(a_number_from_another_register_is_unknown) {
    auto const found =
        find_system_calls(instruction_set::x86_64, code({0x89, 0xe8, 0x0f, 0x05})); // mov %ebp,%eax
    BOOST_REQUIRE_EQUAL(found.size(), 1);
    BOOST_TEST(!found[0].number.has_value());
}

BOOST_AUTO_TEST_CASE(bytes_inside_other_instructions_are_no_system_calls) {
    BOOST_TEST(find_system_calls(instruction_set::x86_64, code({0x0f, 0x05})).empty());
    BOOST_TEST(find_system_calls(instruction_set::x86_64, code({0xb8, 1, 0, 0, 0,         // mov $1,%eax
                                                                0xe8, 0x0f, 0x05, 0, 0})) // call
                   .empty());
}

BOOST_AUTO_TEST_CASE(a_call_of_syscall_is_found_by_its_stub) {
    constexpr std::uint64_t pointer = start + 0x1000;
    auto const found = find_calls_of_syscall(instruction_set::x86_64,
                                             code({0xf3, 0x0f, 0x1e, 0xfa,             // endbr64
                                                   0xff, 0x25, 0xf6, 0x0f, 0,    0,    // jmp *pointer
                                                   0x31, 0xff,                         // xor %edi,%edi
                                                   0xe8, 0xef, 0xff, 0xff, 0xff, 0x90, // call
                                                   0xbf, 0x2d, 0,    0,    0,          // mov $45,%edi
                                                   0xff, 0x15, 0xe3, 0x0f, 0,    0}),  // call *pointer
                                             std::vector<std::uint64_t>{pointer});
    BOOST_REQUIRE_EQUAL(found.size(), 2);
    BOOST_TEST(found[0].number.value() == 0);
    BOOST_TEST(found[1].number.value() == 45);
}

BOOST_AUTO_TEST_CASE(code_that_ends_early_is_no_matter) {
    std::vector<unsigned char> const bytes{0xb8, 0xca, 0, 0,    0,    0x8b, 0x84, 0x24, 0,
                                           0,    0,    0, 0xff, 0x25, 0,    0,    0x0f, 0x05};
    for (std::size_t size = 0; size <= bytes.size(); ++size)
        for (std::size_t first = 0; first <= size; ++first) {
            auto const part = code({bytes.begin() + static_cast<std::ptrdiff_t>(first),
                                    bytes.begin() + static_cast<std::ptrdiff_t>(size)});
            find_system_calls(instruction_set::x86_64, part);
            find_calls_of_syscall(instruction_set::x86_64, part, std::vector<std::uint64_t>{start});
            find_system_calls(instruction_set::arm64, part);
            find_calls_of_syscall(instruction_set::arm64, part, std::vector<std::uint64_t>{start});
        }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(arm64)

BOOST_AUTO_TEST_CASE(the_number_is_what_was_loaded_before) {
    auto const found = find_system_calls(instruction_set::arm64, words({0x52800c48,    // mov w8, #98
                                                                        0xaa1303e1,    // mov x1, x19
                                                                        0xd4000001,    // svc #0
                                                                        0xd28007e8,    // mov x8, #63
                                                                        0xd4000001})); // svc #0
    BOOST_REQUIRE_EQUAL(found.size(), 2);
    BOOST_TEST(found[0].number.value() == 98);
    BOOST_TEST(found[1].number.value() == 63);
}

BOOST_AUTO_TEST_CASE(a_call_of_syscall_is_found_by_its_stub) {
    constexpr std::uint64_t pointer = start + 0x10018;
    auto const found = find_calls_of_syscall(instruction_set::arm64,
                                             words({0xd503245f,   // bti c
                                                    0x90000090,   // adrp x16, start + 0x10000
                                                    0xf9400e11,   // ldr x17, [x16, #24]
                                                    0x91006210,   // add x16, x16, #24
                                                    0xd61f0220,   // br x17
                                                    0x52800c40,   // mov w0, #98
                                                    0x97fffffa}), // bl stub
                                             std::vector<std::uint64_t>{pointer});
    BOOST_REQUIRE_EQUAL(found.size(), 1);
    BOOST_TEST(found[0].number.value() == 98);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(most_system_calls_do_not_block) {
    std::size_t blocking = 0;
    for (unsigned number = 0; number < 1024; ++number)
        blocking += blocking_system_call(number) != nullptr ? 1U : 0U;
    BOOST_TEST(blocking > 30);
    BOOST_TEST(blocking < 60);
}
