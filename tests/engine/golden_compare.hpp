// Compares the engine with the reference implementation's results (tests/README.md describes the
// files). Shared by the engine's tests and the `golden` program.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.hpp"

namespace hearth::tests {

// How a prompt is brought through the layers.
struct GoldenMode {
  std::size_t chunk = 0;  // rows of a piece; 0: all at once
  bool step = false;      // the step form of the delta rule (token by token)
  bool restore = false;   // from a checkpoint into another session, in the middle
  std::string name() const;
};
// Every way that must give the same results.
std::vector<GoldenMode> golden_modes();

struct GoldenReport {
  double logits = 0;  // largest absolute differences
  double hidden = 0;
  double mtp = 0;
  std::size_t prompts = 0;
  std::size_t router_rows = 0;    // rows of router picks compared
  std::size_t greedy_tokens = 0;  // continuation tokens compared
  std::size_t drafts = 0;         // drafted tokens compared
  std::vector<std::string> misses;

  void merge(const GoldenReport& other);
};

// On every ISA. What F32 leaves is 2e-5 … 5e-5.
constexpr double golden_tolerance = 2e-4;

std::shared_ptr<engine::Runtime> load_golden_engine(const std::filesystem::path& checkpoint,
                                                    engine::EngineOptions options = {});

// Which of a golden file's prompts are compared.
struct GoldenPrompts {
  std::size_t longest = ~std::size_t{0};  // those with more tokens are left out
  std::optional<std::size_t> only = {};   // all but this one are
};

// In one mode; a fresh engine, or its checkpoints answer.
GoldenReport compare_golden(const std::shared_ptr<engine::Runtime>& runtime,
                            const std::filesystem::path& golden, const GoldenMode& mode,
                            const GoldenPrompts& prompts = {});

}  // namespace hearth::tests
