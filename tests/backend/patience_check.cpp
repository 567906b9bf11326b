// Holds patience.h to what it promises; silent, and exits with 0 if so.
#include <stdio.h>

#include <initializer_list>

#include "../../src/tidegate/engine/patience.h"

using namespace tidegate;

#define CHECK(holds)                                                            \
  do {                                                                          \
    if (!(holds)) {                                                             \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #holds); \
      return 1;                                                                 \
    }                                                                           \
  } while (false)

constexpr int64_t kMilli = 1'000'000;

// A call of two equal shares: each works for `own`.
void share(Experience& shape, int64_t own, int64_t waited, int64_t now, bool whole = true) {
  shape.shared(own, waited, 1.0, whole, now);
}

int experience() {
  Experience shape;
  CHECK(!shape.alone(0));
  share(shape, 10 * kMilli, 5 * kMilli, 0);  // three quarters of what one thread takes
  CHECK(!shape.alone(0));
  for (int call = 0; call < 9; ++call) {  // threads that had slept
    share(shape, 1 * kMilli, 3 * kMilli, 0);
    CHECK(!shape.alone(0));
    share(shape, 1 * kMilli, 0, 0);
  }
  for (const int64_t debt : {12, 24, 48, 96, 192, 192}) {  // four times what was waited, then twice as much
    share(shape, 1 * kMilli, 1 * kMilli, 0);
    CHECK(!shape.alone(0));
    share(shape, 1 * kMilli, 2 * kMilli, 0);
    shape.worked_alone((debt - 1) * kMilli);
    CHECK(shape.alone(1));
    shape.worked_alone(1 * kMilli);
    CHECK(!shape.alone(1));
  }
  for (int call = 0; call < 200; ++call) share(shape, 1 * kMilli, 0, 0);  // the machine is idle again
  CHECK(!shape.alone(1));
  share(shape, 1 * kMilli, 2 * kMilli, 0);  // so these count as the first
  share(shape, 1 * kMilli, 1 * kMilli, 0);
  shape.worked_alone(12 * kMilli);
  CHECK(!shape.alone(1));
  return 0;
}

int ends() {
  Experience shape;
  share(shape, 1 * kMilli, 0, 0, false);  // it went on alone, for which waiting was the reason
  CHECK(!shape.alone(1));                 // but nothing was lost
  for (int call = 0; call < 2; ++call) share(shape, 1 * kMilli, 1 * kMilli, 0, false);
  CHECK(shape.alone(1));
  CHECK(!shape.alone(32 * 8 * kMilli));  // where calls are rare, time passes
  Experience uneven;  // the first of three rows is the first member's: it waits for as long as it works
  uneven.shared(1 * kMilli, 1 * kMilli, 2.0, true, 0);
  CHECK(!uneven.alone(1));
  return 0;
}

int meetings() {
  const int64_t now = nanoseconds();
  Patience patience;
  patience.saved = 1;
  patience.begin = now - 12 * kMilli;
  patience.consider(10, 100);
  CHECK(patience.last_step < 0);  // it has not waited
  patience.waited = 10 * kMilli;
  patience.consider(0, 100);
  CHECK(patience.last_step < 0);  // nothing is known yet
  patience.begin -= 1000 * kMilli;
  patience.consider(10, 100);
  CHECK(patience.last_step < 0);  // ten milliseconds in ten seconds
  patience.begin += 1000 * kMilli;
  patience.consider(11, 100);
  CHECK(patience.last_step < 0);  // it has not waited since
  patience.waited += 1 * kMilli;
  patience.begin = nanoseconds() - 12 * kMilli;
  patience.consider(12, 100);
  CHECK(patience.ends_with(12) && !patience.ends_with(11));  // eleven milliseconds in a call of nine
  Patience tested;
  temper = kBridles;
  tested.consider(0, 100);
  CHECK(tested.ends_with(0));
  return 0;
}

int main() { return experience() || ends() || meetings(); }
