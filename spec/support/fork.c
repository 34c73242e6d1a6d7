/*
 * fork(), wait() and _exit() as functions of Lua, for specs: see fork.lua. It needs no headers of Lua: the one
 * function of it is the same in every version.
 */
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

struct lua_State;

void lua_pushnumber(struct lua_State *L, double number);

int spec_fork(struct lua_State *L);
int spec_wait(struct lua_State *L);
int spec_leave(struct lua_State *L);

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
