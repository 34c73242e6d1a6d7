/*
 * A host of many Lua states, in many threads: see spec/torture/states/run.
 *
 *   host THREADS STATES ROUNDS SECONDS SCRIPT [ARGUMENT...]
 *
 * In each round each thread makes its STATES, and has SCRIPT in each of them, one state after the other, do one step
 * after the other: SCRIPT, called with ARGUMENT..., returns functions, its steps. Then the states are closed,
 * whatever they left open. There are ROUNDS rounds, or as many as begin within SECONDS, unless that is 0. The first
 * error ends the program.
 *
 * HOST_ALARM=n has a signal interrupt the process every n microseconds. A host name that ends in ".slow" is looked up
 * for HOST_SLOW milliseconds, and not found. At the end the host says how many states there were, and what
 * else it counted; and it checks that closing the states has not unloaded the module.
 */
#define _GNU_SOURCE /* for RTLD_NEXT and RTLD_NOLOAD */

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

enum { MAX_STATES = 1000, MAX_THREADS = 64 };

static struct {
  int threads, states, rounds;
  double seconds, end;
  const char *script;
  int argument_count;
  char **arguments;
} plan;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long closed, looking_up, closed_while_looking_up, size_after_third;

static double monotonic(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void add(long *count, long number)
{
  pthread_mutex_lock(&lock);
  *count += number;
  pthread_mutex_unlock(&lock);
}

/* The resolver ---------------------------------------------------------------------------------- */

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

__attribute__((visibility("default"))) lookup getaddrinfo;

/* In the place of the system's, for libcurl. */
int getaddrinfo(
    const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
  const char *milliseconds = getenv("HOST_SLOW"), *end = name ? strstr(name, ".slow") : NULL;
  const long wait = milliseconds ? strtol(milliseconds, NULL, 10) : 100;
  struct timespec left = { wait / 1000, wait % 1000 * 1000000 };
  lookup *real;

  if (end && !end[strlen(".slow")]) {
    add(&looking_up, 1);
    while (nanosleep(&left, &left) != 0)
      continue;
    add(&looking_up, -1);
    return EAI_NONAME;
  }
  *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  return real(name, service, hints, found);
}

/* States ---------------------------------------------------------------------------------------- */

static void die(const char *what, lua_State *L)
{
  const char *message = L ? lua_tostring(L, -1) : NULL;

  fprintf(stderr, "host: %s: %s\n", what, message ? message : "no message");
  _Exit(EXIT_FAILURE);
}

/* A new state with the steps on its stack. */
static lua_State *open_state(void)
{
  lua_State *L = luaL_newstate();
  int i;

  if (!L)
    die("no memory for a state", NULL);
  luaL_openlibs(L);
  if (luaL_loadfile(L, plan.script) != 0)
    die("the script", L);
  for (i = 0; i < plan.argument_count; i++)
    lua_pushstring(L, plan.arguments[i]);
  if (lua_pcall(L, plan.argument_count, LUA_MULTRET, 0) != 0)
    die("the script", L);
  return L;
}

static void run_step(lua_State *L, int step)
{
  lua_pushvalue(L, step);
  if (lua_pcall(L, 0, 0, 0) != 0)
    die("a step", L);
}

static void close_state(lua_State *L)
{
  pthread_mutex_lock(&lock);
  closed_while_looking_up += looking_up > 0;
  pthread_mutex_unlock(&lock);
  lua_close(L);
  add(&closed, 1);
}

/* Kilobytes, or 0 where the system does not tell. */
static long resident(void)
{
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  long size = 0;

  while (file && !size && fgets(line, sizeof line, file))
    if (strncmp(line, "VmRSS:", 6) == 0)
      size = strtol(line + 6, NULL, 10);
  if (file)
    fclose(file);
  return size;
}

static void *run_thread(void *is_first)
{
  lua_State *states[MAX_STATES];
  int round, step, steps, i;

  for (round = 0; round < plan.rounds && (!plan.seconds || monotonic() < plan.end); round++) {
    for (i = 0; i < plan.states; i++)
      states[i] = open_state();
    steps = lua_gettop(states[0]);
    for (step = 1; step <= steps; step++)
      for (i = 0; i < plan.states; i++)
        run_step(states[i], step);
    for (i = 0; i < plan.states; i++)
      close_state(states[i]);
    if (is_first && round && round == plan.rounds / 3)
      size_after_third = resident();
  }
  return NULL;
}

/* The host -------------------------------------------------------------------------------------- */

static long alarms;

static void on_alarm(int number)
{
  const int reason = errno;

  (void)number;
  __atomic_fetch_add(&alarms, 1, __ATOMIC_RELAXED);
  errno = reason;
}

static void arrange_alarms(void)
{
  const char *microseconds = getenv("HOST_ALARM");
  struct sigaction action;
  struct itimerval often;

  if (!microseconds)
    return;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm; /* without SA_RESTART: system calls end with EINTR */
  sigaction(SIGALRM, &action, NULL);
  often.it_interval.tv_sec = 0;
  often.it_interval.tv_usec = strtol(microseconds, NULL, 10);
  often.it_value = often.it_interval;
  setitimer(ITIMER_REAL, &often, NULL);
}

static int number_of(const char *text, int most)
{
  const long number = strtol(text, NULL, 10);

  if (number < 0 || number > most)
    die(text, NULL);
  return (int)number;
}

/* Its threads may still run there, and a host may open states again. */
static bool module_is_loaded(void)
{
  const char *path = getenv("HOST_MODULE");
  void *module = path ? dlopen(path, RTLD_NOW | RTLD_NOLOAD) : NULL;

  if (!module)
    return false;
  dlclose(module);
  return true;
}

int main(int argc, char **argv)
{
  pthread_t threads[MAX_THREADS];
  int i;

  if (argc < 6) {
    fprintf(stderr, "usage: %s THREADS STATES ROUNDS SECONDS SCRIPT [ARGUMENT...]\n", argv[0]);
    return EXIT_FAILURE;
  }
  plan.threads = number_of(argv[1], MAX_THREADS);
  plan.states = number_of(argv[2], MAX_STATES);
  plan.rounds = number_of(argv[3], 1000000000);
  plan.seconds = number_of(argv[4], 1000000);
  plan.script = argv[5];
  plan.argument_count = argc - 6;
  plan.arguments = argv + 6;
  plan.end = monotonic() + plan.seconds;
  arrange_alarms();
  for (i = 0; i < plan.threads; i++)
    if (pthread_create(&threads[i], NULL, run_thread, i ? NULL : &plan) != 0)
      die("no thread", NULL);
  for (i = 0; i < plan.threads; i++)
    pthread_join(threads[i], NULL);
  if (getenv("HOST_SLOW") && !closed_while_looking_up)
    die("no state was closed during a look-up", NULL);
  if (!module_is_loaded())
    die("the module was unloaded", NULL);
  printf("%ld states", closed);
  if (closed_while_looking_up)
    printf(", %ld closed during a look-up", closed_while_looking_up);
  if (__atomic_load_n(&alarms, __ATOMIC_RELAXED))
    printf(", %ld signals", __atomic_load_n(&alarms, __ATOMIC_RELAXED));
  if (size_after_third)
    printf(", resident %+ld KiB since a third of them", resident() - size_after_third);
  printf("\n");
  return EXIT_SUCCESS;
}
