// Things that end as soon as they may: destroyed by who was let in, while the call that did it, on another worker or thread, is not back yet.
// What touches them too late is for AddressSanitizer to find.
#pragma once

#include <memory>
#include <thread>

#include <weft/event.hpp>
#include <weft/post.hpp>
#include <weft/run.hpp>

#include "support/memory.hpp"
#include "support/options.hpp"

namespace support {

// Again and again: make() makes one, on a unique_ptr; wake(it) is called elsewhere, and once wait(it) has returned, it is destroyed.
template <class Make, class Wait, class Wake> void short_lived(Make&& make, Wait&& wait, Wake&& wake) {
    constexpr int times = sanitized ? 500 : 1000;
    weft::run(
        [&] {
            for (int i = 0; i < times; ++i) {
                auto const one = make();
                weft::post(1, [&wake, &one = *one] { wake(one); });
                wait(*one);
            }
        },
        with_workers(2));
    for (int i = 0; i < times; ++i) {
        auto one = make();
        std::thread thread([&wake, &one = *one] { wake(one); });
        wait(*one);
        one.reset();
        thread.join();
    }
}

// The same with a lock, which the other one holds at first.
template <class Make> void short_lived_lock(Make&& make) {
    struct pair {
        decltype(make()) lock;
        weft::event held;
    };
    auto const make_pair = [&] {
        auto made = std::make_unique<pair>();
        made->lock = make();
        return made;
    };
    auto const take = [](pair& both) {
        both.held.wait();
        both.lock->lock();
        both.lock->unlock();
        both.lock.reset();
    };
    auto const hand_over = [](pair& both) {
        auto& lock = *both.lock;
        lock.lock();
        both.held.set();
        lock.unlock();
    };
    short_lived(make_pair, take, hand_over);
}

} // namespace support
