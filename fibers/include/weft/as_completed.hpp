// as_completed: goes through fibers in the order in which they end. As asyncio's.
//
//     std::vector<weft::fiber<page>> downloads = ...;
//     for (auto& done : weft::as_completed(std::move(downloads)))
//         show(done.get()); // the page, or what the download threw
//
// It owns the fibers. Leaving the loop early, by break or an exception, cleans up: those that have not ended are cancelled and waited for.
// Waiting for the next one can be cancelled: weft::cancelled. A fiber whose get() isn't called is treated as by ~fiber().
//
// For one fiber, or plain thread, at a time.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <weft/channel.hpp>
#include <weft/fiber.hpp>

namespace weft {

template <class R> class completed_fibers {
public:
    explicit completed_fibers(std::vector<fiber<R>> fibers)
        : fibers_(std::move(fibers)),
          ended_(std::make_shared<channel<std::size_t>>(fibers_.size(), "as_completed")),
          left_(fibers_.size()) {
        for (std::size_t i = 0; i < fibers_.size(); ++i)
            fibers_[i].on_done([ended = ended_, i] { ended->try_send(std::size_t{i}); });
    }
    completed_fibers(completed_fibers&&) noexcept = default;
    completed_fibers& operator=(completed_fibers&&) = delete;
    // Cancels those that have not ended, and waits for them.
    ~completed_fibers() {
        for (fiber<R>& each : fibers_)
            if (each.joinable() && !each.done())
                each.cancel("nobody waits for it any more: as_completed was left");
    }

    // Waits for the next one: its place among those given; none if there is none left.
    std::optional<std::size_t> next() {
        if (left_ == 0)
            return std::nullopt;
        auto const place = ended_->receive();
        --left_;
        return place;
    }
    fiber<R>& operator[](std::size_t place) noexcept { return fibers_[place]; }

    // How many next() has not given yet.
    [[nodiscard]] std::size_t left() const noexcept { return left_; }

    class iterator {
    public:
        using iterator_concept = std::input_iterator_tag;
        using value_type = fiber<R>;
        using difference_type = std::ptrdiff_t;

        explicit iterator(completed_fibers& of) : of_(&of), place_(of.next()) {}

        fiber<R>& operator*() const noexcept { return (*of_)[*place_]; }
        fiber<R>* operator->() const noexcept { return &**this; }
        // Its place among those given.
        [[nodiscard]] std::size_t place() const noexcept { return *place_; }
        iterator& operator++() {
            place_ = of_->next();
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(std::default_sentinel_t /*end*/) const noexcept { return !place_; }

    private:
        completed_fibers* of_;
        std::optional<std::size_t> place_;
    };
    iterator begin() { return iterator(*this); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

private:
    std::vector<fiber<R>> fibers_;
    std::shared_ptr<channel<std::size_t>> ended_; // the fibers', too
    std::size_t left_;
};

// Throws std::logic_error if a handle refers to no fiber.
template <class R> completed_fibers<R> as_completed(std::vector<fiber<R>>&& fibers) {
    return completed_fibers<R>(std::move(fibers));
}
template <class R>
void as_completed(std::vector<fiber<R>>& fibers) = delete; // it takes them over: std::move them

} // namespace weft
