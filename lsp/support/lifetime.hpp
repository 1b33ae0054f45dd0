// Callbacks that outlive what they call. An object that hands out callbacks owns a Lifetime; what
// it guards does nothing once the object is gone. For one thread.
#pragma once

#include <memory>
#include <utility>

namespace hearth::lsp {

class Lifetime {
 public:
  template <typename Function>
  auto guard(Function function) const {
    return [alive = std::weak_ptr<const char>(token_),
            function = std::move(function)](auto&&... arguments) {
      if (!alive.expired()) function(std::forward<decltype(arguments)>(arguments)...);
    };
  }

 private:
  std::shared_ptr<const char> token_ = std::make_shared<const char>('\0');
};

}  // namespace hearth::lsp
