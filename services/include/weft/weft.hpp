// All of weft.
#pragma once

#include <weft/bounded_semaphore.hpp>
#include <weft/cancel_scope.hpp>
#include <weft/clock.hpp>
#include <weft/engine.hpp>
#include <weft/exception_group.hpp>
#include <weft/fiber.hpp>
#include <weft/net/accept_policy.hpp>
#include <weft/net/acceptor.hpp>
#include <weft/net/endpoint.hpp>
#include <weft/net/tcp_stream.hpp>
#include <weft/patch.hpp>
#include <weft/post.hpp>
#include <weft/result.hpp>
#include <weft/run.hpp>
#include <weft/semaphore.hpp>
#include <weft/task_group.hpp>
#include <weft/this_fiber.hpp>
