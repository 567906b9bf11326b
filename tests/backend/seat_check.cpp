// Holds seat.h to what it promises; silent, and exits with 0 if so, with 77 where there is one processor only.
#include <pthread.h>
#include <stdio.h>

#include "../../src/tidegate/engine/seat.h"

using namespace tidegate;

struct Late {
  Seats* seats;
  cpu_set_t allowed;
  int before = -1, after = -1;
  bool free = false;  // whether it may run everywhere at the end
};

// Begins on the processor of the first member.
void* late(void* place) {
  Late& self = *static_cast<Late*>(place);
  sched_setaffinity(0, sizeof self.allowed, &self.allowed);
  self.before = sched_getcpu();
  self.seats->find_own();
  self.after = sched_getcpu();
  cpu_set_t now;
  sched_getaffinity(0, sizeof now, &now);
  self.free = CPU_EQUAL(&now, &self.allowed);
  return nullptr;
}

int main() {
  Late work;
  sched_getaffinity(0, sizeof work.allowed, &work.allowed);
  if (CPU_COUNT(&work.allowed) < 2) return 77;
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(sched_getcpu(), &here);
  sched_setaffinity(0, sizeof here, &here);  // the new thread inherits it
  Seats seats;
  work.seats = &seats;
  pthread_t thread;
  pthread_create(&thread, nullptr, late, &work);
  pthread_join(thread, nullptr);
  const bool good = work.free && !CPU_ISSET(work.after, &here);
  if (!good) fprintf(stderr, "from %d to %d, free %d\n", work.before, work.after, work.free);
  return good ? 0 : 1;
}
