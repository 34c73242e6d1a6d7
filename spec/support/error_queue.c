/*
 * OpenSSL's error queue as a function of Lua, for specs: see error_queue.lua. It needs no headers of Lua or
 * OpenSSL: the functions of theirs are the same in every version.
 */
struct lua_State;

void lua_pushnumber(struct lua_State *L, double number);
unsigned long ERR_get_error(void);

int spec_take_error(struct lua_State *L);

/* take_error() -> the oldest error of this thread's queue, which leaves it; 0 when it is empty */
int spec_take_error(struct lua_State *L)
{
  lua_pushnumber(L, (double)ERR_get_error());
  return 1;
}
