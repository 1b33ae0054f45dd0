// Reading the JSON body of a request, member by member: what a member may be, and the sentence
// that names it where it is something else.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/serve/api_error.hpp"

namespace hearth::daemon {

// A body as a JSON object; an empty one is {}. All of these throw ApiError, with 400 and the
// member as its param.
nlohmann::json read_body(std::string text);

// Empty where the member is absent or null. `name` is also how it is called in the error, where
// `path` does not say more ("messages.2.").
std::optional<std::string> text_member(const nlohmann::json& body, const char* name,
                                       const std::string& path = {});
std::optional<bool> flag_member(const nlohmann::json& body, const char* name,
                                const std::string& path = {});
std::optional<std::int64_t> integer_member(const nlohmann::json& body, const char* name,
                                           std::int64_t min, std::int64_t max);
std::optional<double> number_member(const nlohmann::json& body, const char* name, double min,
                                    double max);
// A list of whole numbers from 0.
std::vector<std::int32_t> tokens_of(const nlohmann::json& list, const std::string& name);

ApiError bad_member(const std::string& name, const std::string& what);  // "\"name\" what"
// 400 for what a request may say elsewhere, but not here.
ApiError cannot_serve(const std::string& name, const std::string& why);

}  // namespace hearth::daemon
