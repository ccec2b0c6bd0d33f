#include "system_calls.hpp"

#include <sys/syscall.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <initializer_list>

namespace weft::services {
namespace {

using bytes = std::span<unsigned char const>;

std::uint32_t word_at(bytes code, std::size_t at) {
    std::uint32_t word = 0;
    std::memcpy(&word, code.data() + at, sizeof word);
    return word;
}

bool contains(std::span<std::uint64_t const> addresses, std::uint64_t address) {
    return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

namespace x86_64 {

constexpr unsigned past_all_numbers = 1024;

bool starts_with(bytes code, std::size_t at, std::initializer_list<unsigned char> pattern) {
    return at + pattern.size() <= code.size() &&
           std::equal(pattern.begin(), pattern.end(), code.begin() + static_cast<std::ptrdiff_t>(at));
}

// A register that takes a small number: by `mov $number, %reg`, in 5 or 7 bytes, or `xor %reg, %reg`.
struct number_register {
    unsigned char move;      // then 4 bytes
    unsigned char long_move; // after 48 c7, then 4 bytes
    unsigned char clear;     // after 31 or 33
    unsigned char copy_to;   // after 89, the bits that name the register: moved to it from another
};
constexpr number_register eax{0xb8, 0xc0, 0xc0, 0xc0};
constexpr number_register edi{0xbf, 0xc7, 0xff, 0xc7};

struct loaded {
    std::optional<unsigned> number; // nothing: from another register
};

// The length of the instruction at `at`, if it is one of those that load arguments (moves, lea, xor, push, pop, simple arithmetic);
// 0 for all others.
std::size_t argument_instruction_length(bytes code, std::size_t at) {
    std::size_t const start = at;
    if (at < code.size() && (code[at] & 0xf0) == 0x40) // REX
        ++at;
    if (at + 1 >= code.size())
        return 0;
    unsigned char const opcode = code[at++];
    if (opcode >= 0x50 && opcode <= 0x5f) // push, pop
        return at - start;
    if (opcode >= 0xb8 && opcode <= 0xbf) { // mov $number, %reg
        bool const wide = at - start == 2 && (code[start] & 0x08) != 0;
        return at - start + (wide ? 8 : 4);
    }
    std::size_t immediate = 0;
    switch (opcode) {
    case 0x01: // add
    case 0x29: // sub
    case 0x31: // xor
    case 0x33:
    case 0x39: // cmp
    case 0x63: // movslq
    case 0x85: // test
    case 0x89: // mov
    case 0x8b:
    case 0x8d: // lea
        break;
    case 0x83: // arithmetic with a small number
        immediate = 1;
        break;
    case 0x81:
    case 0xc7: // mov $number
        immediate = 4;
        break;
    default: return 0;
    }
    unsigned char const operands = code[at++];
    unsigned const mode = operands >> 6U;
    bool const has_scale = mode != 3 && (operands & 7U) == 4;
    if (has_scale && at >= code.size())
        return 0;
    bool const relative = mode == 0 && ((operands & 7U) == 5 || (has_scale && (code[at] & 7U) == 5));
    std::size_t const displacement = mode == 1 ? 1 : mode == 2 || relative ? 4 : 0;
    return at - start + (has_scale ? 1 : 0) + displacement + immediate;
}

// Whether from `at` on there are nothing but such instructions, up to `end` exactly. Bytes that only look like an instruction
// seldom fit in so well.
bool leads_to(bytes code, std::size_t at, std::size_t end) {
    while (at < end) {
        std::size_t const length = argument_instruction_length(code, at);
        if (length == 0)
            return false;
        at += length;
    }
    return at == end;
}

// What the register holds at `end`, by the last instruction before it that loads it; nothing if there is none near. If `sure`,
// only what loads arguments is between the two.
std::optional<loaded> load_before(bytes code, std::size_t end, number_register const& place, bool sure) {
    constexpr std::size_t reach = 64; // up to six arguments are loaded in between
    std::size_t const first = end > reach ? end - reach : 0;
    for (std::size_t at = end; at-- > first;) {
        bool const prefixed = at > 0 && (code[at - 1] & 0xf9) == 0x41; // REX.B: another register
        std::optional<unsigned> number;
        std::size_t size = 2;
        if (end - at >= 2 && (code[at] == 0x31 || code[at] == 0x33) && code[at + 1] == place.clear &&
            !prefixed) {
            number = 0;
        } else if (end - at >= 5 && code[at] == place.move && !prefixed) {
            number = word_at(code, at + 1);
            size = 5;
        } else if (end - at >= 7 && starts_with(code, at, {0x48, 0xc7, place.long_move})) {
            number = word_at(code, at + 3);
            size = 7;
        } else if (end - at < 2 || code[at] != 0x89 || (code[at + 1] & 0xc7) != place.copy_to) {
            continue; // nor a move from another register
        }
        if (number.value_or(0) < past_all_numbers && (!sure || leads_to(code, at + size, end)))
            return loaded{number};
    }
    return std::nullopt;
}

// What follows an instruction that names an address relative to its own end, `size` bytes after `at`.
std::uint64_t relative_target(elf_code const& code, std::size_t at, std::size_t size) {
    auto const distance = static_cast<std::int32_t>(word_at(code.bytes, at + size - 4));
    return code.address + at + size + static_cast<std::uint64_t>(static_cast<std::int64_t>(distance));
}

// Starts of the procedure linkage table's entries that jump through one of `pointers`.
std::vector<std::uint64_t> find_stubs(std::span<elf_code const> code,
                                      std::span<std::uint64_t const> pointers) {
    std::vector<std::uint64_t> stubs;
    for (elf_code const& part : code)
        for (std::size_t at = 0; at + 6 <= part.bytes.size(); ++at) {
            if (part.bytes[at] != 0xff || part.bytes[at + 1] != 0x25 ||
                !contains(pointers, relative_target(part, at, 6)))
                continue;
            // Before the jump there may be a prefix (bnd), and the mark of a target of indirect jumps (endbr64).
            std::size_t start = at;
            if (start >= 1 && part.bytes[start - 1] == 0xf2)
                start -= 1;
            if (start >= 4 && starts_with(part.bytes, start - 4, {0xf3, 0x0f, 0x1e, 0xfa}))
                start -= 4;
            stubs.push_back(part.address + start);
        }
    return stubs;
}

void find_instructions(elf_code const& part, std::vector<system_call>& found) {
    for (std::size_t at = 0; at + 2 <= part.bytes.size(); ++at)
        if (part.bytes[at] == 0x0f && part.bytes[at + 1] == 0x05)
            if (auto const load = load_before(part.bytes, at, eax, true))
                found.push_back({part.address + at, load->number});
}

void find_calls(elf_code const& part, std::span<std::uint64_t const> stubs,
                std::span<std::uint64_t const> pointers, std::vector<system_call>& found) {
    for (std::size_t at = 0; at + 6 <= part.bytes.size(); ++at) {
        unsigned char const first = part.bytes[at];
        bool const by_stub =
            (first == 0xe8 || first == 0xe9) && contains(stubs, relative_target(part, at, 5)); // call, jmp
        bool const by_pointer =
            first == 0xff && part.bytes[at + 1] == 0x15 && contains(pointers, relative_target(part, at, 6));
        if (by_stub || by_pointer)
            found.push_back(
                {part.address + at, load_before(part.bytes, at, edi, false).value_or(loaded{}).number});
    }
}

} // namespace x86_64

namespace arm64 {

// What the last `mov wN, #number` before `end` has loaded.
std::optional<unsigned> number_before(bytes code, std::size_t end, unsigned place) {
    constexpr std::size_t reach = 64;
    std::size_t const first = end > reach ? end - reach : 0;
    for (std::size_t at = end; at >= first + 4;) {
        at -= 4;
        std::uint32_t const instruction = word_at(code, at);
        if ((instruction & 0x7fe0001f) == (0x52800000 | place)) // wN or xN
            return (instruction >> 5) & 0xffff;
    }
    return std::nullopt;
}

// `value`'s lowest `bits` bits, as a signed number.
std::uint64_t sign_extend(std::uint64_t value, unsigned bits) {
    std::uint64_t const sign = std::uint64_t{1} << (bits - 1);
    value &= (sign << 1) - 1;
    return (value ^ sign) - sign;
}

// Starts of the procedure linkage table's entries that jump through one of `pointers`.
std::vector<std::uint64_t> find_stubs(std::span<elf_code const> code,
                                      std::span<std::uint64_t const> pointers) {
    std::vector<std::uint64_t> stubs;
    for (elf_code const& part : code)
        for (std::size_t at = 0; at + 8 <= part.bytes.size(); at += 4) {
            std::uint32_t const page = word_at(part.bytes, at);     // adrp x16, page
            std::uint32_t const load = word_at(part.bytes, at + 4); // ldr x17, [x16, #offset]
            if ((page & 0x9f00001f) != 0x90000010 || (load & 0xffc003ff) != 0xf9400211)
                continue;
            std::uint64_t const address = part.address + at;
            std::uint64_t const distance = (((page >> 5) & 0x7ffff) << 2) | ((page >> 29) & 3);
            std::uint64_t const target = (address & ~std::uint64_t{0xfff}) +
                                         (sign_extend(distance, 21) << 12) + ((load >> 10) & 0xfff) * 8;
            if (!contains(pointers, target))
                continue;
            stubs.push_back(address);
            if (at >= 4 && word_at(part.bytes, at - 4) == 0xd503245f) // bti c
                stubs.push_back(address - 4);
        }
    return stubs;
}

void find_instructions(elf_code const& part, std::vector<system_call>& found) {
    constexpr std::uint32_t instruction = 0xd4000001; // svc #0
    constexpr unsigned x8 = 8;
    for (std::size_t at = 0; at + 4 <= part.bytes.size(); at += 4)
        if (word_at(part.bytes, at) == instruction)
            found.push_back({part.address + at, number_before(part.bytes, at, x8)});
}

void find_calls(elf_code const& part, std::span<std::uint64_t const> stubs, std::vector<system_call>& found) {
    for (std::size_t at = 0; at + 4 <= part.bytes.size(); at += 4) {
        std::uint32_t const branch = word_at(part.bytes, at);
        if ((branch & 0x7c000000) == 0x14000000 && // b or bl
            contains(stubs, part.address + at + (sign_extend(branch, 26) << 2)))
            found.push_back({part.address + at, number_before(part.bytes, at, 0)});
    }
}

} // namespace arm64

struct named_number {
    long number;
    char const* name;
};

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): the number and the name of one thing
#define WEFT_SYSTEM_CALL(name) named_number{SYS_##name, #name},
constexpr named_number blocking[] = {
// clang-format off
#if defined(SYS_poll)
    WEFT_SYSTEM_CALL(poll) WEFT_SYSTEM_CALL(select) WEFT_SYSTEM_CALL(epoll_wait) WEFT_SYSTEM_CALL(pause)
#endif
#if defined(SYS_epoll_pwait2)
    WEFT_SYSTEM_CALL(epoll_pwait2)
#endif
#if defined(SYS_futex_waitv)
    WEFT_SYSTEM_CALL(futex_waitv)
#endif
    WEFT_SYSTEM_CALL(read) WEFT_SYSTEM_CALL(readv) WEFT_SYSTEM_CALL(write) WEFT_SYSTEM_CALL(writev)
    WEFT_SYSTEM_CALL(preadv2) WEFT_SYSTEM_CALL(pwritev2)
    WEFT_SYSTEM_CALL(accept) WEFT_SYSTEM_CALL(accept4) WEFT_SYSTEM_CALL(connect)
    WEFT_SYSTEM_CALL(recvfrom) WEFT_SYSTEM_CALL(recvmsg) WEFT_SYSTEM_CALL(recvmmsg)
    WEFT_SYSTEM_CALL(sendto) WEFT_SYSTEM_CALL(sendmsg) WEFT_SYSTEM_CALL(sendmmsg)
    WEFT_SYSTEM_CALL(sendfile) WEFT_SYSTEM_CALL(splice) WEFT_SYSTEM_CALL(tee) WEFT_SYSTEM_CALL(vmsplice)
    WEFT_SYSTEM_CALL(ppoll) WEFT_SYSTEM_CALL(pselect6) WEFT_SYSTEM_CALL(epoll_pwait)
    WEFT_SYSTEM_CALL(nanosleep) WEFT_SYSTEM_CALL(clock_nanosleep)
    WEFT_SYSTEM_CALL(futex) WEFT_SYSTEM_CALL(flock)
    WEFT_SYSTEM_CALL(wait4) WEFT_SYSTEM_CALL(waitid)
    WEFT_SYSTEM_CALL(rt_sigsuspend) WEFT_SYSTEM_CALL(rt_sigtimedwait)
    WEFT_SYSTEM_CALL(msgrcv) WEFT_SYSTEM_CALL(msgsnd) WEFT_SYSTEM_CALL(semop) WEFT_SYSTEM_CALL(semtimedop)
    WEFT_SYSTEM_CALL(mq_timedreceive) WEFT_SYSTEM_CALL(mq_timedsend)
    WEFT_SYSTEM_CALL(io_getevents) WEFT_SYSTEM_CALL(io_pgetevents) WEFT_SYSTEM_CALL(io_uring_enter)
    // clang-format on
};
#undef WEFT_SYSTEM_CALL

} // namespace

char const* blocking_system_call(unsigned number) noexcept {
    for (named_number const& each : blocking)
        if (each.number == static_cast<long>(number))
            return each.name;
    return nullptr;
}

std::vector<system_call> find_system_calls(instruction_set machine, std::span<elf_code const> code) {
    std::vector<system_call> found;
    for (elf_code const& part : code)
        if (machine == instruction_set::x86_64)
            x86_64::find_instructions(part, found);
        else
            arm64::find_instructions(part, found);
    return found;
}

std::vector<system_call> find_calls_of_syscall(instruction_set machine, std::span<elf_code const> code,
                                               std::span<std::uint64_t const> pointers) {
    bool const x86 = machine == instruction_set::x86_64;
    auto const stubs = x86 ? x86_64::find_stubs(code, pointers) : arm64::find_stubs(code, pointers);
    std::vector<system_call> found;
    for (elf_code const& part : code)
        if (x86)
            x86_64::find_calls(part, stubs, pointers, found);
        else
            arm64::find_calls(part, stubs, found);
    return found;
}

} // namespace weft::services
