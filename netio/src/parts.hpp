// parts: the buffers of a vectored call, of which some bytes are done; total_size: how many there are.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <new>

namespace weft::detail {

inline std::size_t total_size(iovec const* parts, std::size_t count) noexcept {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < count; ++i)
        sum += parts[i].iov_len;
    return sum;
}

class parts {
public:
    // What the caller's array describes; it is copied when it first has to change.
    parts(iovec const* given, std::size_t count) noexcept
        : first_(given), count_(count), left_(total_size(given, count)) {}

    [[nodiscard]] iovec const* data() const noexcept { return first_; }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] std::size_t left() const noexcept { return left_; }

    // Drops `done` bytes from the front. False, with nothing changed, if there is no memory for a copy.
    bool advance(std::size_t done) noexcept {
        if (!copied_ && !copy())
            return false;
        left_ -= done;
        while (count_ > 0 && done >= own_->iov_len) {
            done -= own_->iov_len;
            ++own_;
            --count_;
        }
        if (count_ > 0) {
            own_->iov_base = static_cast<char*>(own_->iov_base) + done;
            own_->iov_len -= done;
        }
        first_ = own_;
        return true;
    }

private:
    bool copy() noexcept {
        own_ = few_.data();
        if (count_ > few_.size()) {
            many_.reset(new (std::nothrow) iovec[count_]);
            own_ = many_.get();
            if (own_ == nullptr)
                return false;
        }
        std::copy_n(first_, count_, own_);
        copied_ = true;
        return true;
    }

    iovec const* first_;
    std::size_t count_;
    std::size_t left_;
    bool copied_ = false;
    iovec* own_ = nullptr; // into few_ or many_, once copied
    std::array<iovec, 8> few_;
    std::unique_ptr<iovec[]> many_;
};

} // namespace weft::detail
