// Which ISA is opened and what becomes of one that computes something else; and that code compiled
// for an ISA the host may lack cannot be linked in anywhere else.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "kernels/cpu/rows/selfcheck.hpp"
#include "tests/kernels/support.hpp"

namespace hearth::kernels::test {
namespace {

// HEARTH_ISA for the length of a scope.
class Environment {
 public:
  explicit Environment(const char* value) {
    if (const char* const old = std::getenv("HEARTH_ISA")) before_ = old;
    setenv("HEARTH_ISA", value, 1);
  }
  ~Environment() {
    if (before_.empty())
      unsetenv("HEARTH_ISA");
    else
      setenv("HEARTH_ISA", before_.c_str(), 1);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::string before_;
};

TEST_CASE("names of ISAs are read back") {
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512, Isa::amx})
    CHECK(parse_isa(name(isa)) == isa);
  CHECK_FALSE(parse_isa("AVX2"));
  CHECK_FALSE(parse_isa(""));
}

TEST_CASE("HEARTH_ISA chooses, and what is forced wins over it") {
  CpuChoice choice;
  const Environment environment("scalar");
  CHECK(open_cpu(2, std::nullopt, choice)->description() == "CPU scalar, 2 threads");
  CHECK(choice.isa == Isa::scalar);
  open_cpu(1, host_isas().back(), choice);
  CHECK(choice.isa == host_isas().back());
}

TEST_CASE("without a wish the best ISA of the host is taken") {
  const Environment environment("");
  CpuChoice choice;
  open_cpu(1, std::nullopt, choice);
  CHECK(choice.isa == (host_has(Isa::amx) ? Isa::amx : host_isas().back()));
  CHECK(choice.notes.empty());
}

TEST_CASE("an unknown HEARTH_ISA is an error that lists what there is") {
  const Environment environment("sse9");
  CpuChoice choice;
  CHECK_THROWS_WITH_AS(open_cpu(1, std::nullopt, choice),
                       "HEARTH_ISA is 'sse9'; it can be scalar, avx2, avx512 or amx", Error);
}

TEST_CASE("an ISA that the host lacks is an error that lists what it has") {
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::amx}) {
    if (host_has(isa)) continue;
    CpuChoice choice;
    const std::string wish(name(isa));
    const Environment environment(wish.c_str());
    try {
      open_cpu(1, std::nullopt, choice);
      FAIL("opened");
    } catch (const Error& error) {
      const std::string message = error.what();
      CHECK(message.find("HEARTH_ISA asks for " + wish) == 0);
      CHECK(message.find("scalar") != std::string::npos);
    }
  }
}

TEST_CASE("no threads means one per core, fewer are an error") {
  CpuChoice choice;
  CHECK(open_cpu(0, Isa::scalar, choice)->device() == Device{});
  CHECK_THROWS_AS(open_cpu(-1, Isa::scalar, choice), Error);
}

void wrong_softmax(float* x, std::int64_t dim) {
  cpu::scalar_table.softmax(x, dim);
  x[dim - 1] += 1e-7f;
}

void wrong_product(const cpu::Product& p) {
  cpu::scalar_table.product[cpu::format_f8](p);
  p.y[p.last - 1] *= 1.0000001f;
}

TEST_CASE("an operation that differs is taken from the next lower table, with a note") {
  const cpu::Table& scalar = cpu::scalar_table;
  cpu::Table best = scalar, next = scalar;
  best.softmax = wrong_softmax;
  best.product[cpu::format_f8] = next.product[cpu::format_f8] = wrong_product;
  // A function of its own, to see which table an operation came from.
  next.softmax = [](float* x, std::int64_t dim) { cpu::scalar_table.softmax(x, dim); };
  const std::array<cpu::NamedTable, 3> tables = {
      cpu::NamedTable{"best", &best}, {"next", &next}, {"scalar", &scalar}};
  std::vector<std::string> notes;
  const cpu::Table chosen = cpu::checked(tables, notes);
  CHECK((chosen.softmax == next.softmax));
  CHECK((chosen.product[cpu::format_f8] == scalar.product[cpu::format_f8]));
  CHECK((chosen.rms_norm == scalar.rms_norm));
  CHECK(notes == std::vector<std::string>{
                     "best: matmul f8_e4m3 differs from the scalar definition and is not used",
                     "next: matmul f8_e4m3 differs from the scalar definition and is not used",
                     "best: softmax differs from the scalar definition and is not used"});
}

TEST_CASE("every operation of the table is part of the check") {
  // Tables are nothing but function pointers: one that is never taken over stays the scalar one.
  for (const Isa isa : host_isas()) {
    if (isa == Isa::scalar) continue;
    const cpu::Table& own = isa == Isa::avx2 ? cpu::avx2_table : cpu::avx512_table;
    const std::array<cpu::NamedTable, 2> tables = {cpu::NamedTable{name(isa), &own},
                                                   {"scalar", &cpu::scalar_table}};
    std::vector<std::string> notes;
    const cpu::Table chosen = cpu::checked(tables, notes);
    CHECK(std::memcmp(&chosen, &own, sizeof own) == 0);
  }
}

// Symbols that a sanitizer adds to any object file. Of types it keeps descriptions, and functions
// that it leaves when they are unwound refer to the unwinder: data, not code.
bool of_sanitizer(const std::string& symbol) {
  for (const char* const mark : {"asan", "tsan", "ubsan", "sanitizer", "typeinfo ", "DW.ref."})
    if (symbol.find(mark) != std::string::npos) return true;
  return false;
}

TEST_CASE("the vector files define nothing that the linker could hand to other files") {
  const std::string library = HEARTH_BINARY_DIR "/kernels/libhearth_kernels.a";
  FILE* const pipe = popen(("nm -C '" + library + "' 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string listing;
  std::array<char, 4096> part{};
  while (const std::size_t count = std::fread(part.data(), 1, part.size(), pipe))
    listing.append(part.data(), count);
  REQUIRE(pclose(pipe) == 0);

  std::istringstream lines(listing);
  bool vector_file = false;
  std::vector<std::string> defined;
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with(".cpp.o:"))
      vector_file = line.find("avx") != std::string::npos || line.find("amx") != std::string::npos;
    if (!vector_file || line.size() < 20 || line[17] == ' ') continue;
    // Lower case: of this file alone, or undefined; but u is a definition for the whole process.
    const char kind = line[17];
    const std::string symbol = line.substr(19);
    const bool outside = kind == 'u' || (std::isupper(kind) && kind != 'U');
    if (outside && !of_sanitizer(symbol)) defined.push_back(symbol);
  }
  std::sort(defined.begin(), defined.end());
  CHECK(defined ==
        std::vector<std::string>{
            "hearth::kernels::cpu::amx_gemm", "hearth::kernels::cpu::avx2_f16_table",
            "hearth::kernels::cpu::avx2_gemm", "hearth::kernels::cpu::avx2_table",
            "hearth::kernels::cpu::avx512_gemm", "hearth::kernels::cpu::avx512_table",
            "hearth::kernels::cpu::avx512_vbmi_gemm",
            "hearth::kernels::cpu::pack_f8_avx2(float const*, float*, long)",
            "hearth::kernels::cpu::product_f8_avx2(hearth::kernels::cpu::Product const&)",
            "hearth::kernels::cpu::product_f8_vbmi(hearth::kernels::cpu::Product const&)"});
}

}  // namespace
}  // namespace hearth::kernels::test
