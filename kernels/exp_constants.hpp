// Constants of the one exp of all ISAs and devices; numeric.hpp has the formula. Includes nothing,
// so that the vector files can use it.
#pragma once

// e^x = 2^n · e^r with n = round(x / ln 2), |r| ≤ ln 2 / 2, and e^r by its Taylor polynomial of
// degree 7, whose remainder there is below 2^-27.
namespace hearth::kernels::exp_constants {

constexpr float lowest = -104;      // e^x rounds to 0 from here down
constexpr float highest = 89;       // e^x rounds to infinity from here up
constexpr float magic = 0x1.8p23f;  // adding it rounds to an integer, in the low bits
constexpr float log2_e = 0x1.715476p+0f;
constexpr float ln2_high = 0x1.62e430p-1f;
constexpr float ln2_low = -0x1.05c610p-29f;
constexpr float c7 = 1.0f / 5040;
constexpr float c6 = 1.0f / 720;
constexpr float c5 = 1.0f / 120;
constexpr float c4 = 1.0f / 24;
constexpr float c3 = 1.0f / 6;
constexpr float c2 = 1.0f / 2;

}  // namespace hearth::kernels::exp_constants
