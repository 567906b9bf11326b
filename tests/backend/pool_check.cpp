// Holds the pool and the barrier to what pool.h promises. `pool_check ROUNDS` is silent and exits with 0 if so.
// A thread that waits for ever is a failure as well: the alarm at the top of main ends the program, and of each child.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

// The pool makes its threads through this, so that they can be counted, and refused as on a machine that has no more.
static std::atomic<int> threads_made{0};
static std::atomic<int> threads_allowed{1 << 30};
static int make_thread(pthread_t* thread, const pthread_attr_t* how, void* (*start)(void*), void* argument) {
  if (threads_allowed.fetch_sub(1) <= 0) return 11;  // EAGAIN
  ++threads_made;
  return pthread_create(thread, how, start, argument);
}
#define pthread_create make_thread
#include "../../src/tidegate/engine/pool.h"
#undef pthread_create

#if defined(__SANITIZE_THREAD__)
// Its runtime cannot make threads in the child of a threaded process, whatever its options: the other builds fork.
constexpr bool kForks = false;
#else
constexpr bool kForks = true;
#endif

constexpr int kMost = 8;
constexpr unsigned kPatience = 100;  // seconds
using tidegate::Barrier;
using tidegate::parallel;

#define CHECK(holds)                                                             \
  do {                                                                           \
    if (!(holds)) {                                                              \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #holds);  \
      _exit(1); /* not exit: that tidies up while the other threads still run */ \
    }                                                                            \
  } while (false)

struct Random {  // xorshift, of any state but 0
  unsigned state;
  unsigned operator()() {
    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
  }
};

// One number per member. In each phase every member makes its next number from all the present ones. They are plain
// memory: only the barrier stands between a member's write and the others' reads, and a race detector sees if it fails.
struct Region {
  Region(int members, int phase_count, unsigned first) : barrier(members), phases(phase_count), seed(first) {}
  static unsigned next(const unsigned* now, int member, int members) {
    unsigned sum = 2654435761u * static_cast<unsigned>(member + 1);
    for (int other = 0; other < members; ++other) sum = 31u * sum + now[other];
    return sum;
  }

  Barrier barrier;
  int phases;
  unsigned seed;
  unsigned numbers[2][kMost] = {};
  int ran[kMost] = {};
  int told[kMost] = {};
};

static void compute(void* argument, int member, int members) {
  Region& region = *static_cast<Region*>(argument);
  ++region.ran[member];
  region.told[member] = members;
  region.numbers[0][member] = region.seed + static_cast<unsigned>(member);
  if (members > 1) region.barrier.wait();
  for (int phase = 0; phase < region.phases; ++phase) {
    region.numbers[(phase + 1) % 2][member] = Region::next(region.numbers[phase % 2], member, members);
    if (members > 1) region.barrier.wait();
  }
}

// Runs a region and compares it with the same computation in a loop. Returns how many members it had.
static int run(int asked, int phases, unsigned seed) {
  Region region(asked, phases, seed);
  const int members = parallel(asked, asked < kMost ? asked + 1 : kMost, compute, &region);
  CHECK(members == asked || members == 1);
  unsigned now[kMost], after[kMost];
  for (int member = 0; member < members; ++member) now[member] = seed + static_cast<unsigned>(member);
  for (int phase = 0; phase < phases; ++phase) {
    for (int member = 0; member < members; ++member) after[member] = Region::next(now, member, members);
    for (int member = 0; member < members; ++member) now[member] = after[member];
  }
  for (int member = 0; member < kMost; ++member) {
    CHECK(region.ran[member] == (member < members));
    if (member >= members) continue;
    CHECK(region.told[member] == members);
    CHECK(region.numbers[phases % 2][member] == now[member]);
  }
  return members;
}

static void idle(unsigned microseconds) {
  const timespec pause = {0, static_cast<long>(microseconds) * 1000};
  nanosleep(&pause, nullptr);
}

static void check_regions(int rounds) {
  Random random{1};
  for (int asked = 1; asked <= kMost; ++asked) {  // upwards, so that the pool grows
    CHECK(run(asked, 3, 0) == asked);
    CHECK(threads_made == asked - 1);
  }
  for (int round = 0; round < rounds; ++round) {
    const int asked = 1 + static_cast<int>(random() % kMost);
    const int phases = static_cast<int>(random() % 20);
    CHECK(run(asked, phases, random()) == asked);
    if (random() % 4 == 0) idle(random() % 200);  // around the time after which workers fall asleep
  }
  for (int round = 0; round < rounds; ++round) CHECK(run(2, 50, random()) == 2);  // often awake, where two have cores
  CHECK(threads_made == kMost - 1);
}

static void check_callers(int rounds) {
  std::vector<std::thread> callers;
  for (unsigned caller = 1; caller <= 4; ++caller) {
    callers.emplace_back([caller, rounds] {
      Random random{caller};
      for (int together = 0; together < rounds / 4 + 1;) {  // until the pool has often passed from one to the other
        const int asked = 2 + static_cast<int>(random() % (kMost - 1));
        together += run(asked, static_cast<int>(random() % 10), random()) == asked;
        idle(random() % 100);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(threads_made == kMost - 1);
}

static void call_inside(void* argument, int member, int) {
  static_cast<int*>(argument)[member] = run(3, 2, 5);
}

static void check_nested() {
  int members_inside[kMost] = {};
  CHECK(parallel(4, 4, call_inside, members_inside) == 4);
  for (int member = 0; member < kMost; ++member) CHECK(members_inside[member] == (member < 4));
  CHECK(parallel(1, 1, call_inside, members_inside) == 1);  // nobody has the pool, and still the inner one gets no workers
  CHECK(members_inside[0] == 1);
  CHECK(run(4, 2, 5) == 4);
}

static void look_at_signals(void* argument, int member, int) {
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  bool& all = static_cast<bool*>(argument)[member];
  all = true;
  for (int signal : {SIGINT, SIGTERM, SIGALRM, SIGPROF, SIGCHLD, SIGUSR1}) all = all && sigismember(&blocked, signal);
}

static void check_signals() {
  bool all_blocked[kMost] = {};
  CHECK(parallel(kMost, kMost, look_at_signals, all_blocked) == kMost);
  for (int member = 0; member < kMost; ++member) CHECK(all_blocked[member] == (member > 0));
}

static void check_too_many() {
  Region region(1, 1, 0);
  CHECK(parallel(tidegate::kMostMembers + 1, tidegate::kMostMembers + 1, compute, &region) == 1);
  CHECK(parallel(-1, 1, compute, &region) == 1);
  CHECK(region.ran[0] == 2);
}

// In a child, where the pool is empty and leaving early harms nobody.
template <class Work>
static void in_child(Work work) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(kPatience / 2);
    threads_made = 0;
    work();
    _exit(0);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void check_no_threads() {
  for (int made = 0; made < kMost - 1; ++made) {
    threads_allowed = made > 0 ? 1 : 0;  // no attempt makes all that it needs
    CHECK(run(kMost, 3, 1) == 1);
    CHECK(threads_made == made);
    CHECK(run(made + 1, 3, 1) == made + 1);  // those that could be made are of use
  }
  threads_allowed = 1;
  CHECK(run(kMost, 3, 1) == kMost);
  threads_allowed = 1 << 30;
}

static void check_forks(int rounds) {
  in_child(check_no_threads);
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;  // forks come while these hold the pool, hire, ring, wait and give it back
  for (unsigned caller = 0; caller < 2; ++caller) {
    callers.emplace_back([&stop, caller] {
      for (unsigned seed = caller; !stop; ++seed) {
        run(2 + static_cast<int>(seed % 3), 5, seed);
        if (seed % 8 == 0) idle(100);
      }
    });
  }
  for (int round = 0; round < rounds; ++round) {
    in_child([] {
      for (int asked = kMost; asked > 0; --asked) CHECK(run(asked, 5, 3) == asked);
      CHECK(threads_made == kMost - 1);
      in_child([] { CHECK(run(3, 5, 4) == 3); });
    });
    idle(static_cast<unsigned>(round) % 50);
  }
  stop = true;
  for (std::thread& caller : callers) caller.join();
  in_child([] {  // the process ends while a region runs
    std::thread([] {
      for (unsigned seed = 0;; ++seed) run(3, 5, seed);
    }).detach();
    idle(2000);
    exit(0);
  });
  CHECK(run(4, 5, 6) == 4);
}

#if defined(_OPENMP)
extern "C" void GOMP_parallel(void (*)(void*), void*, unsigned, unsigned);
extern "C" int omp_get_thread_num();
extern "C" int omp_get_num_threads();

static void check_openmp(int rounds) {
  tidegate::openmp = {GOMP_parallel, omp_get_thread_num, omp_get_num_threads};
  const int made = threads_made;
  Random random{1};
  for (int round = 0; round < rounds; ++round) {
    const int asked = 1 + static_cast<int>(random() % kMost);
    CHECK(run(asked, static_cast<int>(random() % 20), random()) == asked);
  }
  int members_inside[kMost] = {};
  CHECK(parallel(4, kMost, call_inside, members_inside) == 4);
  for (int member = 0; member < kMost; ++member) CHECK(members_inside[member] == (member < 4));
#pragma omp parallel num_threads(3)
  CHECK(run(3, 5, 1) == 1);  // somebody else's region
  CHECK(threads_made == made);
  in_child([] {  // which has none of the runtime's workers
    CHECK(run(3, 5, 4) == 3);
    CHECK(threads_made == 2);
  });
}
#endif

int main(int count, char** arguments) {
  const int rounds = count == 2 ? atoi(arguments[1]) : 0;
  if (rounds <= 0) {
    fprintf(stderr, "one argument, how many rounds, for example 1000\n");
    return 2;
  }
  alarm(kPatience);
  check_regions(rounds);
  check_callers(rounds);
  check_nested();
  check_signals();
  check_too_many();
  if (kForks) check_forks(rounds / 20 + 1);
  Barrier alone(1);
  for (int round = 0; round < rounds; ++round) alone.wait();
  CHECK(run(kMost, 3, 7) == kMost);
#if defined(_OPENMP)
  check_openmp(rounds);
#endif
  return 0;  // while the workers still look for the next region
}
