// Opens the CPU: what the host has, which ISA is wanted, and the table that passed the check.
#include <cpuid.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

#include "kernels/cpu/backend.hpp"
#include "kernels/cpu/rows/f8_choice.hpp"
#include "kernels/cpu/rows/selfcheck.hpp"
#include "kernels/ops.hpp"

namespace hearth::kernels {
namespace {

constexpr Isa isas[] = {Isa::amx, Isa::avx512, Isa::avx2, Isa::scalar};  // the best first

const cpu::Table& table(Isa isa) {
  switch (isa) {
    case Isa::amx:  // for the GEMMs alone
    case Isa::avx512:
      return cpu::avx512_table;
    case Isa::avx2:
      return cpu::avx2_table;
    case Isa::scalar:
      break;
  }
  return cpu::scalar_table;
}

// The tables to try, the best first: that of each ISA, and before it one with what only some of its
// processors have or need.
std::vector<cpu::NamedTable> tables(Isa wanted) {
  static const cpu::Table extended = [] {
    cpu::Table result = cpu::avx512_table;
    if (__builtin_cpu_supports("avx512vbmi")) result.product[cpu::format_f8] = cpu::product_f8_vbmi;
    return result;
  }();
  std::vector<cpu::NamedTable> result;
  if (wanted >= Isa::avx512) result.push_back({"avx512 with VBMI", &extended});
  for (const Isa isa : isas) {
    if (isa > wanted || isa == Isa::amx || !host_has(isa)) continue;
    if (isa == Isa::avx2 && wanted == Isa::avx2)
      result = cpu::avx2_tables(cpu::f8_times_of_host());
    else
      result.push_back({name(isa), &table(isa)});
  }
  return result;
}

// A piece of this many multiply-adds is done in about 1 ms, on a slow core and under a sanitizer in
// less than 5.
std::int64_t piece_work(Isa isa) {
  return isa == Isa::scalar ? 1 << 19 : 1 << 21;
}

// The compilers' __builtin_cpu_supports does not know f16c everywhere.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

// AMX is there when the processor has it and the kernel grants the process the state of its tiles:
// without that, the first use of one would end the process. Threads share the permission.
bool has_amx() {
  constexpr unsigned tile = 1u << 24, bf16 = 1u << 22;  // of leaf 7, EDX
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & tile) == 0 || (d & bf16) == 0)
    return false;
  constexpr int request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM, since Linux 5.16
  constexpr int tile_data = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

void require_host(Isa isa, const std::string& origin) {
  if (host_has(isa)) return;
  std::string list;
  for (const Isa other : isas)
    if (host_has(other)) list += (list.empty() ? "" : ", ") + std::string(name(other));
  throw Error(origin + " asks for " + std::string(name(isa)) +
              ", which this processor does not have; it has: " + list);
}

Isa wanted(std::optional<Isa> forced) {
  if (forced) {
    require_host(*forced, "The configuration");
    return *forced;
  }
  if (const char* const value = std::getenv("HEARTH_ISA"); value != nullptr && *value != '\0') {
    const std::optional<Isa> isa = parse_isa(value);
    if (!isa)
      throw Error("HEARTH_ISA is '" + std::string(value) +
                  "'; it can be scalar, avx2, avx512 or amx");
    require_host(*isa, "HEARTH_ISA");
    return *isa;
  }
  for (const Isa isa : isas)
    if (host_has(isa)) return isa;
  return Isa::scalar;
}

// The cores that this process may run on.
int cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set);
}

}  // namespace

std::string_view name(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return "scalar";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::amx:
      return "amx";
  }
  return "";
}

std::optional<Isa> parse_isa(std::string_view text) {
  for (const Isa isa : isas)
    if (text == name(isa)) return isa;
  return std::nullopt;
}

bool host_has(Isa isa) {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  switch (isa) {
    case Isa::scalar:
      return true;
    case Isa::avx2:
      return avx2;
    case Isa::avx512:
      return avx512;
    case Isa::amx:
      static const bool amx = avx512 && __builtin_cpu_supports("avx512vbmi") && has_amx();
      return amx;
  }
  return false;
}

std::unique_ptr<Backend> open_cpu(int threads, std::optional<Isa> forced, CpuChoice& choice) {
  if (threads < 0) throw Error("a computation cannot have " + std::to_string(threads) + " threads");
  if (threads == 0) threads = cores();
  choice = {.isa = wanted(forced), .gemm = {}, .notes = {}};

  const cpu::Table chosen = cpu::checked(tables(choice.isa), choice.notes);
  const cpu::GemmChoice gemm = cpu::choose_gemm(choice.isa, choice.notes);
  choice.gemm = gemm.name;
  if (choice.isa == Isa::amx && !gemm.table->in_parts) choice.isa = Isa::avx512;
  return cpu::make_backend(chosen, gemm, piece_work(choice.isa), threads,
                           "CPU " + std::string(name(choice.isa)) + ", " + std::to_string(threads) +
                               (threads == 1 ? " thread" : " threads"));
}

}  // namespace hearth::kernels
