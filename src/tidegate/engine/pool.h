// Threads: one pool of workers for this library, and a barrier for the threads of one parallel region.
//
// Not done here, on purpose:
// - The floating-point environment. A worker keeps the one it was born with, so a task that needs a rounding mode or
//   flushed denormals sets them itself, in every member.
// - Leaving. Workers sleep until the process ends, and nothing runs then, so nothing can hang or crash. A library with
//   this code must therefore stay loaded: link it with -z nodelete.
//
// Build with -fvisibility=hidden: then every library has a pool of its own. As in vector.h, no code of the C++ standard
// library is used.
#pragma once

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "vector.h"

namespace tidegate {
inline namespace TIDEGATE_ISA {

// How often a thread looks before it sleeps: about as long as falling asleep and being woken takes, 10 to 25 us. So a
// short wait costs no system call, a long one at most twice what sleeping at once would have cost, and one for a thread
// that has no core to run on, as on a machine shared with others, gives it this core long before the time slice ends.
constexpr int kLooks = 500;

// Members of a region meet again within microseconds, unless one was interrupted. If the others slept at once, they
// would come late to the next meeting, that one would sleep there, and all would wake each other from then on, at
// twenty times the price. So before they sleep they look for longer than waking takes, and offer their core meanwhile.
constexpr int kOffers = 100;
constexpr int kLooksAfterOffer = 50;

// An offer that takes so long was taken by another program, which has the core for its whole time slice. To offer it
// again would be to wait for the next slice at every meeting.
constexpr int64_t kTakenNanoseconds = 100'000;

constexpr int kMostMembers = 1024;  // places for workers are static, and untouched ones cost nothing

TIDEGATE_INLINE void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");  // "yield" takes a cycle here, which would make the looks too short
#endif
}

inline int64_t nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Sleeping and waking order no memory, neither for the language nor for a race detector: the atomics in Bell do.
#if defined(__linux__)
inline void sleep_while(const uint32_t* word, uint32_t value) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, static_cast<void*>(nullptr));
}
inline void wake_all(const uint32_t* word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX); }
inline void forget_sleepers() {}
#else
struct Bedroom {
  pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t light = PTHREAD_COND_INITIALIZER;
};
inline Bedroom bedroom __attribute__((visibility("hidden")));

inline void sleep_while(const uint32_t* word, uint32_t value) {
  pthread_mutex_lock(&bedroom.door);
  while (__atomic_load_n(word, __ATOMIC_RELAXED) == value) pthread_cond_wait(&bedroom.light, &bedroom.door);
  pthread_mutex_unlock(&bedroom.door);
}
inline void wake_all(const uint32_t*) {
  pthread_mutex_lock(&bedroom.door);
  pthread_cond_broadcast(&bedroom.light);
  pthread_mutex_unlock(&bedroom.door);
}
inline void forget_sleepers() { bedroom = Bedroom{}; }
#endif

// Counts its rings in steps of two; the lowest bit says that somebody sleeps. Count and bit share one word, so no ring
// can fall between looking and sleeping, and a ring that nobody sleeps through needs no system call.
// What was written before ring() is seen after wait(). Only one thread may ring at a time.
class Bell {
 public:
  uint32_t rings() const { return __atomic_load_n(&word_, __ATOMIC_RELAXED) & ~1u; }

  // Returns once rings() is no longer `heard`. The result is how long that took, in nanoseconds, the first looks not
  // counted: 0 for a short wait.
  int64_t wait(uint32_t heard, int offers = 0) {
    return rings_within(kLooks, heard) ? 0 : wait_longer(heard, offers);
  }

  void ring() {
    const uint32_t next = rings() + 2;
    if (__atomic_exchange_n(&word_, next, __ATOMIC_RELEASE) & 1u) wake_all(&word_);
  }

 private:
  bool rings_within(int looks, uint32_t heard) const {
    for (int look = 0; look < looks; ++look) {
      if ((__atomic_load_n(&word_, __ATOMIC_ACQUIRE) & ~1u) != heard) return true;
      pause_briefly();
    }
    return false;
  }

  __attribute__((noinline, cold)) int64_t wait_longer(uint32_t heard, int offers) {
    const int64_t begin = nanoseconds();
    int64_t before = begin;
    for (int offer = 0; offer < offers; ++offer) {
      sched_yield();
      const bool rung = rings_within(kLooksAfterOffer, heard);
      const int64_t now = nanoseconds();
      if (rung) return now - begin;
      if (now - before > kTakenNanoseconds) break;
      before = now;
    }
    while (announce_sleep(heard)) sleep_while(&word_, heard | 1u);
    return nanoseconds() - begin;
  }

  bool announce_sleep(uint32_t heard) {
    uint32_t found = heard;
    __atomic_compare_exchange_n(&word_, &found, heard | 1u, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE);
    return (found & ~1u) == heard;
  }

  uint32_t word_ = 0;
};

// Where the members of one parallel region meet. It must outlive the region, not more.
class Barrier {
 public:
  explicit Barrier(int members) : members_(members) {}

  // What any member wrote before it is seen by every member after it. The result is what the bell says.
  int64_t wait() {
    if (members_ == 1) return 0;
    const uint32_t heard = all_here_.rings();  // before arriving: the bell may ring at once
    if (__atomic_add_fetch(&arrived_, 1, __ATOMIC_ACQ_REL) < members_) return all_here_.wait(heard, kOffers);
    __atomic_store_n(&arrived_, 0, __ATOMIC_RELAXED);  // nobody arrives again before the bell
    all_here_.ring();
    return 0;
  }

 private:
  alignas(64) int arrived_ = 0;
  const int members_;
  alignas(64) Bell all_here_;  // apart from arrived_: those who look must not slow down those who arrive
};

// One member's share of a region. It must not throw: nobody could catch what a worker throws.
typedef void (*Task)(void* argument, int member, int members);

struct alignas(64) Worker {
  Bell call;
};

struct Pool {
  alignas(64) int busy = 0;  // a lock that is only ever tried; it guards everything but the bells
  int hired = 0;             // the workers that exist: workers[0] to workers[hired - 1]
  alignas(64) Task task = nullptr;
  void* argument = nullptr;
  int members = 0;
  alignas(64) int running = 0;  // workers that have not finished the region
  alignas(64) Bell finished;
  Worker workers[kMostMembers - 1];
};
inline Pool pool __attribute__((visibility("hidden")));

// The pool alone could not tell: a task that runs alone does so because somebody else has it, and might give it back.
inline __thread bool inside_task __attribute__((visibility("hidden"))) = false;

// The threads of an OpenMP runtime that this process has anyway, as torch's: its workers go on spinning for milliseconds
// after each of their regions, and a pool beside them would have to compete for their cores.
struct OpenMP {
  void (*parallel)(void (*)(void*), void*, unsigned threads, unsigned flags);  // GOMP_parallel, or null for none
  int (*thread)();                                                             // omp_get_thread_num
  int (*threads)();                                                            // omp_get_num_threads
};
inline OpenMP openmp __attribute__((visibility("hidden"))) = {};

// The child of a fork has only the thread that forked: no workers, and nobody to unlock what others had locked. The
// bells may stay as they are, for a count has no wrong value, and a worker's is cleared when it is hired.
inline void start_again_after_fork() {
  pool.hired = 0;
  __atomic_store_n(&pool.busy, 0, __ATOMIC_RELAXED);
  forget_sleepers();
  openmp = {};  // it would wait for workers that it has no more
}

// When the library is loaded, because later a fork might come between the lock and this. False if there is no memory.
inline const bool forks_are_safe __attribute__((visibility("hidden"))) =
    pthread_atfork(nullptr, nullptr, start_again_after_fork) == 0;

inline void* serve(void* place) {
  Worker& self = *static_cast<Worker*>(place);
  const int member = static_cast<int>(&self - pool.workers) + 1;
  inside_task = true;
  for (uint32_t heard = 0;; heard += 2) {  // from 0, not from rings(): the first ring may come before this thread runs
    self.call.wait(heard);
    pool.task(pool.argument, member, pool.members);
    if (__atomic_sub_fetch(&pool.running, 1, __ATOMIC_ACQ_REL) == 0) pool.finished.ring();
  }
}

// A new thread blocks the signals that its maker blocks: with all of them blocked meanwhile, none is ever handled on a
// worker, where the program that installed the handler would not expect it.
inline bool hire(Worker* worker) {
  pthread_attr_t detached;
  if (pthread_attr_init(&detached) != 0) return false;
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  sigset_t all, before;
  sigfillset(&all);
  const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
  for (int crash : crashes) sigdelset(&all, crash);  // whoever reports crashes shall see them
  pthread_sigmask(SIG_SETMASK, &all, &before);
  worker->call = Bell{};
  pthread_t thread;
  const bool made = pthread_create(&thread, &detached, serve, worker) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&detached);
  return made;
}

inline void give_pool_back() { __atomic_store_n(&pool.busy, 0, __ATOMIC_RELEASE); }

// True if the pool is now the caller's and has a worker for each member but the caller.
inline bool take_pool(int members) {
  if (!forks_are_safe || members > kMostMembers) return false;
  if (__atomic_load_n(&pool.busy, __ATOMIC_RELAXED) != 0) return false;  // a look leaves the line where it is
  if (__atomic_exchange_n(&pool.busy, 1, __ATOMIC_ACQUIRE) != 0) return false;
  while (pool.hired < members - 1 && hire(&pool.workers[pool.hired])) ++pool.hired;
  if (pool.hired >= members - 1) return true;
  give_pool_back();
  return false;
}

inline void lead(int members, Task task, void* argument) {
  pool.task = task;
  pool.argument = argument;
  pool.members = members;
  __atomic_store_n(&pool.running, members - 1, __ATOMIC_RELAXED);
  const uint32_t heard = pool.finished.rings();
  for (int worker = 0; worker < members - 1; ++worker) pool.workers[worker].call.ring();
  task(argument, 0, members);
  pool.finished.wait(heard, kOffers);
}

struct Region {
  int members;
  Task task;
  void* argument;
  bool together;
};

inline void join_region(void* place) {
  Region& region = *static_cast<Region*>(place);
  const int member = openmp.thread();
  const bool nested = inside_task;
  inside_task = true;
  if (openmp.threads() < region.members) {  // within another region it gives no more than one
    if (member == 0) region.together = false, region.task(region.argument, 0, 1);
  } else if (member < region.members) {
    region.task(region.argument, member, region.members);
  }
  inside_task = nested;
}

// Runs task(argument, 0..members - 1, members) in as many threads at the same time, the caller being member 0, and
// returns how many there were when all are done. That is `members`, or 1, in which case the caller ran alone, as
// task(argument, 0, 1): inside a task, while another thread has the pool, and where threads cannot be made. So a task
// must go by the members it is told, and with one of them must not wait at a barrier that was made for more.
// `threads`, at least as many, is how many the caller's program uses elsewhere: an OpenMP runtime that is asked for
// fewer lets the others go, and makes them anew for whoever comes next.
inline int parallel(int members, int threads, Task task, void* argument) {
  const bool nested = inside_task;
  if (members > 1 && !nested && openmp.parallel) {
    Region region = {members, task, argument, true};
    openmp.parallel(join_region, &region, static_cast<unsigned>(threads), 0);
    return region.together ? members : 1;
  }
  const bool together = members > 1 && !nested && take_pool(members);
  inside_task = true;
  if (together) {
    lead(members, task, argument);
    give_pool_back();
  } else {
    task(argument, 0, 1);
  }
  inside_task = nested;
  return together ? members : 1;
}

}  // namespace TIDEGATE_ISA
}  // namespace tidegate
