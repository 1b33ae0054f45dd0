// What the configuration says of a server, with its key.
#pragma once

#include <filesystem>

#include "daemon/config.hpp"
#include "daemon/remote/remote_model.hpp"

namespace hearth::daemon {

// `section` of the configuration, "model" or "inline", names keys in errors and in what is said of
// the key; `variable` of the environment holds one where no file is named. Throws Error for an
// address to which a key may not go, a key's file that others can read, a tokenizer that is not
// there.
RemoteOptions remote_options(const RemoteConfig& config, const std::string& section,
                             const char* variable);
// The two of them: [model] with HEARTH_API_KEY, [inline] with HEARTH_INLINE_API_KEY.
RemoteOptions model_remote_options(const Config& config);
RemoteOptions inline_remote_options(const Config& config);

}  // namespace hearth::daemon
