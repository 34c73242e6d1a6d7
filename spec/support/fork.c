/*
 * fork(), wait() and _exit() as functions of Lua, and signals, for specs: see fork.lua. It needs no headers of Lua:
 * the one function of it is the same in every version.
 */
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

struct lua_State;

void lua_pushnumber(struct lua_State *L, double number);

int spec_fork(struct lua_State *L);
int spec_wait(struct lua_State *L);
int spec_leave(struct lua_State *L);
int spec_storm(struct lua_State *L);
int spec_ignore_children(struct lua_State *L);

/* fork() -> 0 in the child, its id in the parent, -1 when it failed */
int spec_fork(struct lua_State *L)
{
  lua_pushnumber(L, (double)fork());
  return 1;
}

/* wait() -> the exit code of the child that ended; -1 when a signal ended it, or there is none */
int spec_wait(struct lua_State *L)
{
  int status = 0;

  lua_pushnumber(L, wait(&status) > 0 && WIFEXITED(status) ? (double)WEXITSTATUS(status) : -1);
  return 1;
}

/* leave(): the end of a child that did well; no leak is looked for, since what is the parent's is left */
int spec_leave(struct lua_State *L)
{
  (void)L;
  _exit(0);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
  (void)number;
  alarms++;
}

/* storm() -> how many signals have come so far. From the first call on one comes every 2 ms, and no system call goes
   on after it. */
int spec_storm(struct lua_State *L)
{
  const struct itimerval often = { { 0, 2000 }, { 0, 2000 } };
  struct sigaction action;

  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  sigaction(SIGALRM, &action, NULL);
  setitimer(ITIMER_REAL, &often, NULL);
  lua_pushnumber(L, (double)alarms);
  return 1;
}

/* The library goes with its Lua state, before the process does. */
__attribute__((destructor)) static void calm(void)
{
  const struct itimerval never = { { 0, 0 }, { 0, 0 } };

  if (!alarms)
    return;
  setitimer(ITIMER_REAL, &never, NULL);
  signal(SIGALRM, SIG_IGN);
}

/* ignore_children(): as some hosts do, so that no child leaves a status */
int spec_ignore_children(struct lua_State *L)
{
  (void)L;
  signal(SIGCHLD, SIG_IGN);
  return 0;
}
