// How a kernel of candle's, which is a function of many parameters here, becomes one that the driver can launch.
#pragma once

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "../kernels.h"

namespace candle {

// Runs all blocks.
void run(const char* name, const std::function<void()>& kernel, const driver::Shape& shape);

template <typename Value>
Value copied(const char* name, const void* parameter) {
    const Value value = *static_cast<const Value*>(parameter);
    if constexpr (std::is_pointer_v<Value>) driver::check_parameter(name, reinterpret_cast<uint64_t>(value));
    return value;
}

template <typename... Parameters, size_t... INDICES>
driver::Start bound(const char* name, void (*kernel)(Parameters...), void** parameters, std::index_sequence<INDICES...>) {
    const std::tuple<std::remove_cv_t<Parameters>...> values{copied<std::remove_cv_t<Parameters>>(name, parameters[INDICES])...};
    const std::function<void()> call = [=] { std::apply(kernel, values); };
    return [=](const driver::Shape& shape) { run(name, call, shape); };
}

template <typename... Parameters>
driver::Start bind(const char* name, void (*kernel)(Parameters...), void** parameters) {
    return bound(name, kernel, parameters, std::index_sequence_for<Parameters...>());
}

}  // namespace candle

// Enters a kernel of the file that is compiled.
#define ENTER(kernel)                                                                                             \
    namespace {                                                                                                   \
    const bool is_##kernel##_entered = [] {                                                                       \
        driver::enter(#kernel, [](void** parameters) { return candle::bind(#kernel, ::kernel, parameters); });    \
        return true;                                                                                              \
    }();                                                                                                          \
    }
