// All experts in memory: the Cache for checkpoints that fit. Every lease is ready at once.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine/experts.hpp"

namespace hearth::engine {

class ResidentExperts final : public Cache {
 public:
  // The next layer's experts; their storage belongs to the model.
  void add_layer(std::vector<ExpertWeights> experts) { layers_.push_back(std::move(experts)); }

  std::unique_ptr<Leases> acquire(LayerId layer, std::span<const ExpertId> experts) override {
    return std::make_unique<Ready>(layers_.at(static_cast<std::size_t>(layer.value)), experts);
  }

 private:
  class Ready final : public Leases {
   public:
    Ready(const std::vector<ExpertWeights>& layer, std::span<const ExpertId> experts)
        : layer_(layer), experts_(experts.begin(), experts.end()) {}

    std::optional<Lease> next() override {
      if (handed_out_ == experts_.size()) return std::nullopt;
      const ExpertId expert = experts_[handed_out_++];
      return Lease(expert, layer_.at(static_cast<std::size_t>(expert.value)), nullptr);
    }

   private:
    const std::vector<ExpertWeights>& layer_;
    std::vector<ExpertId> experts_;
    std::size_t handed_out_ = 0;
  };

  std::vector<std::vector<ExpertWeights>> layers_;
};

}  // namespace hearth::engine
