// A histogram of latencies in nanoseconds with logarithmic buckets.
//
// Every power of two is split into 128 buckets and a quantile is the middle of its bucket, so it is off by
// less than 0.4 % of its value; below 256 ns, and for the maximum, it is exact. add() costs a few
// instructions and never allocates. Not thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

class latency_histogram {
public:
    void add(std::uint64_t ns) noexcept {
        ++counts_[bucket_of(ns)];
        ++count_;
        max_ = std::max(max_, ns);
    }

    std::uint64_t count() const noexcept { return count_; }
    std::uint64_t max() const noexcept { return max_; }

    // The latency that a share `q` (0 < q <= 1) of all requests did not exceed; 0 when there were none.
    std::uint64_t quantile(double q) const noexcept {
        const auto rank = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_)));
        std::uint64_t seen = 0;
        for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
            seen += counts_[bucket];
            if (seen >= rank && seen > 0)
                return std::min(middle_of(bucket), max_);
        }
        return 0;
    }

private:
    static constexpr std::size_t sub_buckets = 128;

    // Values below 2 * sub_buckets have a bucket each; above, `shift` drops the bits beyond the leading
    // eight.
    static std::size_t bucket_of(std::uint64_t ns) noexcept {
        const auto width = static_cast<std::size_t>(std::bit_width(ns));
        const std::size_t shift = width > 8 ? width - 8 : 0;
        return shift * sub_buckets + static_cast<std::size_t>(ns >> shift);
    }

    static std::uint64_t middle_of(std::size_t bucket) noexcept {
        if (bucket < 2 * sub_buckets)
            return bucket;
        const std::size_t shift = bucket / sub_buckets - 1;
        const std::uint64_t low = (bucket - shift * sub_buckets) << shift;
        return low + (std::uint64_t{1} << shift) / 2;
    }

    std::array<std::uint64_t, 58 * sub_buckets> counts_{}; // 64-bit values: shift is at most 56
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};
