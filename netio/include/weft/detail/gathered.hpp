// gathered: the buffers of Asio's buffer sequences as the kernel takes them, the first 16 that aren't empty.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>

#include <boost/asio/buffer.hpp>

namespace weft::detail {

class gathered {
public:
    template <class BufferSequence> explicit gathered(BufferSequence const& buffers) noexcept {
        auto const end = boost::asio::buffer_sequence_end(buffers);
        for (auto each = boost::asio::buffer_sequence_begin(buffers); each != end && count_ < parts_.size();
             ++each) {
            boost::asio::const_buffer const part(*each);
            if (part.size() != 0)
                parts_[count_++] = {.iov_base = const_cast<void*>(part.data()), .iov_len = part.size()};
        }
    }

    [[nodiscard]] iovec* begin() noexcept { return parts_.data(); }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

private:
    std::array<iovec, 16> parts_;
    std::size_t count_ = 0;
};

} // namespace weft::detail
