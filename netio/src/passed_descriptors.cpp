#include "passed_descriptors.hpp"

#include <cstring>

#include "descriptor.hpp"

namespace weft::detail {
namespace {

template <class Note> void for_each_passed(msghdr const& message, Note note) noexcept {
    if (message.msg_control == nullptr || message.msg_controllen == 0)
        return;
    auto* const all = const_cast<msghdr*>(&message);
    for (cmsghdr* part = CMSG_FIRSTHDR(all); part != nullptr; part = CMSG_NXTHDR(all, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        std::size_t const count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            note(fd);
        }
    }
}

} // namespace

void note_received_descriptors(msghdr const& message) noexcept {
    for_each_passed(message, descriptor_closing);
}

void note_sent_descriptors(msghdr const& message) noexcept {
    for_each_passed(message, [](int fd) {
        if (descriptor* const entry = known_descriptor(fd))
            set_flag(*entry, descriptor::shared, true);
    });
}

} // namespace weft::detail
