// The lowest priority that there is, for work that nobody waits for.
#pragma once

namespace hearth::daemon {

// The calling thread computes only where a processor would be idle (SCHED_IDLE, or nice 19 where
// that is refused), and reads when nobody else does. For good: going back takes a privilege.
void take_idle_priority();

}  // namespace hearth::daemon
