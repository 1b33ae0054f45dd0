// Two system calls; glibc has no name for the second.
#include "daemon/platform/idle_priority.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace hearth::daemon {
namespace {

// linux/ioprio.h
constexpr int who_is_thread = 1;
constexpr int class_idle = 3 << 13;

}  // namespace

void take_idle_priority() {
  const sched_param none{};
  // 0: the calling thread, also for setpriority, on Linux.
  if (::sched_setscheduler(0, SCHED_IDLE, &none) != 0) ::setpriority(PRIO_PROCESS, 0, 19);
  // Refused, the disk is shared as before.
  ::syscall(SYS_ioprio_set, who_is_thread, 0, class_idle);
}

}  // namespace hearth::daemon
