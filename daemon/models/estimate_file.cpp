// The estimates' JSON and its checks.
#include "daemon/models/estimate_file.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>

#include "daemon/platform/files.hpp"

namespace hearth::daemon {
namespace {

using nlohmann::json;

constexpr std::size_t max_bytes = 1 << 20;
constexpr double most = 1e15;  // of any sum, so that what is computed of them stays finite

double amount(const json& value, double max = most) {
  const double number = value.get<double>();
  if (!(number >= 0 && number <= max)) throw std::runtime_error("a number is out of its range");
  return number;
}

}  // namespace

struct EstimatesJson {
  static json write(const Rate& rate) { return {rate.tokens_, rate.seconds_}; }
  static void read(const json& value, Rate& rate) {
    rate.tokens_ = amount(value.at(0));
    rate.seconds_ = amount(value.at(1));
  }

  static json write(const ReadingCost& cost) {
    return {{"squares", cost.squares_}, {"products", cost.products_}, {"error", cost.error_}};
  }
  static void read(const json& value, ReadingCost& cost) {
    for (std::size_t i = 0; i < ReadingCost::terms; ++i) {
      for (std::size_t j = 0; j < ReadingCost::terms; ++j)
        cost.squares_[i][j] = amount(value.at("squares").at(i).at(j));
      cost.products_[i] = amount(value.at("products").at(i));
    }
    cost.error_ = amount(value.at("error"), 1);
    cost.measured_ = cost.squares_[1][1] > 0;
    if (cost.measured_) cost.solve();
  }

  static json write(const std::deque<Length>& lengths) {
    json all = json::array();
    for (const Length& length : lengths) all.push_back({length.thought, length.answer});
    return all;
  }
  static void read(const json& value, std::deque<Length>& lengths) {
    if (value.size() > Lengths::kept) throw std::runtime_error("there are too many lengths");
    for (const json& length : value) {
      lengths.push_back({static_cast<std::int64_t>(amount(length.at(0), 1e9)),
                         static_cast<std::int64_t>(amount(length.at(1), 1e9))});
    }
  }

  static json write(const Lengths& lengths) {
    json actions = json::object();
    for (const auto& [name, known] : lengths.by_action_) actions[name] = write(known.lengths);
    return {{"chat", write(lengths.chat_.lengths)},
            {"completion", write(lengths.completion_.lengths)},
            {"actions", std::move(actions)}};
  }
  static void read(const json& value, Lengths& lengths) {
    read(value.at("chat"), lengths.chat_.lengths);
    read(value.at("completion"), lengths.completion_.lengths);
    const json& actions = value.at("actions");
    if (actions.size() > Lengths::actions) throw std::runtime_error("there are too many actions");
    for (const auto& [name, known] : actions.items()) {
      if (name.size() > Lengths::name_max) throw std::runtime_error("an action's name is too long");
      read(known, lengths.by_action_[name].lengths);
    }
  }

  static json write(const Estimates& estimates) {
    return {{"prefill", write(estimates.prefill_)},
            {"completionPrefill", write(estimates.completion_prefill_)},
            {"reading", write(estimates.reading_)},
            {"writing", write(estimates.writing_.rate_)},
            {"writingError", estimates.writing_.error_},
            {"lengths", write(estimates.lengths_)}};
  }
  static void read(const json& value, Estimates& estimates) {
    read(value.at("prefill"), estimates.prefill_);
    read(value.at("completionPrefill"), estimates.completion_prefill_);
    read(value.at("reading"), estimates.reading_);
    read(value.at("writing"), estimates.writing_.rate_);
    estimates.writing_.error_ = amount(value.at("writingError"), 1);
    read(value.at("lengths"), estimates.lengths_);
  }
};

void save_estimates(const std::filesystem::path& file, const Measured& of,
                    const Estimates& estimates) {
  json value = EstimatesJson::write(estimates);
  value["fingerprint"] = std::to_string(of.fingerprint);
  value["threads"] = of.threads;
  // An action's name is whatever somebody called it.
  write_file(file, value.dump(-1, ' ', false, json::error_handler_t::replace));
}

std::optional<Estimates> saved_estimates(const std::filesystem::path& file, const Measured& of) {
  std::error_code none;
  if (!std::filesystem::exists(file, none)) return std::nullopt;
  const json value = json::parse(read_file(file, max_bytes));
  if (value.at("fingerprint").get<std::string>() != std::to_string(of.fingerprint) ||
      value.at("threads").get<std::int64_t>() != of.threads)
    return std::nullopt;
  Estimates estimates(of.rows_of_pass);
  EstimatesJson::read(value, estimates);
  return estimates;
}

}  // namespace hearth::daemon
