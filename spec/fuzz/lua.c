/*
 * Fuzzes Lua: the program named NAME runs spec/fuzz/targets/NAME.lua in one state that lives as long as it does. That
 * file returns a function of an input, which raises an error where a promise does not hold.
 *
 * libFuzzer sees no Lua, so a hook counts for it how often each line follows each other. Lines are also what time is
 * measured by: a number of them that is not linear in the size of an input is a finding. Long inputs would teach
 * libFuzzer little and cost it much, so one in many is made long here, by repeating a part of it.
 */
#include <time.h>

#include "fuzz.h"
#include "lua_binding.h"

enum { COUNTERS = 1 << 16, SOURCES = 64, MAX_LINE = 512, LONG = 1 << 15, ONE_IN = 1024 };
enum { LINES_AT_ALL = 20000, LINES_OF_BYTE = 1500 };

/* Of a long input: without its lines, and for each. Patterns take time without lines. */
static const double seconds_at_all = 0.6, seconds_of_line = 20e-6;

__attribute__((section("__libfuzzer_extra_counters"))) static unsigned char counters[COUNTERS];

/* The files of the library, and which of their lines were run. */
static struct source {
  const char *key; /* Lua's own text of the name, which lives as long as the chunk */
  char name[64];
  bool is_ours;
  unsigned char seen[MAX_LINE];
} sources[SOURCES];

static lua_State *state;
static size_t lines, all_lines, lines_allowed; /* all: those of targets and specs, too */
static unsigned last_place;

int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct source *source_of(const char *key)
{
  size_t i = ((size_t)key >> 5) % SOURCES, tries;

  for (tries = 0; tries < SOURCES && sources[i].key && sources[i].key != key; tries++)
    i = (i + 1) % SOURCES;
  MUST(tries < SOURCES);
  if (!sources[i].key) {
    const char *name = strstr(key, "lua/iot/");

    sources[i].key = key;
    sources[i].is_ours = name != NULL;
    snprintf(sources[i].name, sizeof sources[i].name, "%s", name ? name : "");
  }
  return &sources[i];
}

static void on_line(lua_State *L, lua_Debug *activation)
{
  const int line = activation->currentline;
  struct source *source;
  unsigned place;

  lua_getinfo(L, "S", activation);
  source = source_of(activation->source);
  all_lines++;
  if (!source->is_ours)
    return;
  if (++lines > lines_allowed)
    luaL_error(L, "more than %d lines were run: not linear in the size?", (int)lines_allowed);
  source->seen[line % MAX_LINE] = 1;
  place = (unsigned)(source - sources) * 7919 + (unsigned)line * 31;
  if (counters[(place ^ last_place) % COUNTERS] < 255)
    counters[(place ^ last_place) % COUNTERS]++;
  last_place = place << 1;
}

/* error -> its text with a traceback. Lua 5.1 has both for Lua only. */
static int add_traceback(lua_State *L)
{
  lua_settop(L, 1);
  lua_getglobal(L, "debug");
  lua_getfield(L, -1, "traceback");
  lua_getglobal(L, "tostring");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* Call the function below the arguments on top of the stack, which their results replace. */
static void call(int argument_count, int result_count)
{
  const int handler = lua_gettop(state) - argument_count;

  lua_pushcfunction(state, add_traceback);
  lua_insert(state, handler);
  if (lua_pcall(state, argument_count, result_count, handler)) {
    fprintf(stderr, "%s\n", lua_tostring(state, -1));
    abort();
  }
  lua_remove(state, handler);
}

static void print_lines(void)
{
  size_t i, line;

  for (i = 0; i < SOURCES; i++) {
    int count = 0;

    for (line = 0; line < MAX_LINE; line++)
      count += sources[i].seen[line];
    if (sources[i].is_ours)
      fprintf(stderr, "lines: %d of %s\n", count, sources[i].name);
  }
}

static const char *name_of_program(const char *path)
{
  const char *slash = strrchr(path, '/');

  return slash ? slash + 1 : path;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  char path[256];

  (void)argc;
  snprintf(path, sizeof path, "spec/fuzz/targets/%s.lua", name_of_program((*argv)[0]));
  state = luaL_newstate();
  MUST(state);
  luaL_openlibs(state);
  lua_getglobal(state, "package");
  lua_getfield(state, -1, "preload");
  lua_pushcfunction(state, luaopen_iot_core);
  lua_setfield(state, -2, "iot.core");
  lua_settop(state, 0);
  if (luaL_loadfile(state, path)) {
    fprintf(stderr, "%s\n", lua_tostring(state, -1));
    exit(EXIT_FAILURE);
  }
  call(0, 1);
  atexit(print_lines);
  lua_sethook(state, on_line, LUA_MASKLINE, 0);
  return 0;
}

static void run(const char *p, size_t n)
{
  lines = all_lines = 0;
  lines_allowed = LINES_AT_ALL + LINES_OF_BYTE * n;
  last_place = 0;
  lua_settop(state, 1);
  lua_pushvalue(state, 1);
  lua_pushlstring(state, p, n);
  call(1, 0);
}

static uint32_t hash_of(const uint8_t *data, size_t size)
{
  uint32_t hash = 2166136261u;

  while (size--)
    hash = (hash ^ *data++) * 16777619u;
  return hash ^ hash >> 16;
}

/* A part of the input, which its own bytes choose, again and again. */
static void run_long(const uint8_t *data, size_t size, uint32_t hash)
{
  const size_t from = hash % size, most = hash & 1 && size - from > 3 ? 3 : size - from;
  const size_t part = 1 + hash / 7 % most;
  const clock_t start = clock();
  static char text[3 * LONG];
  double seconds;
  size_t n;

  memcpy(text, data, from);
  for (n = from; n < LONG; n += part)
    memcpy(text + n, data + from, part);
  memcpy(text + n, data + from + part, size - from - part);
  run(text, n + size - from - part);
  seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
  MUST(seconds < seconds_at_all + seconds_of_line * (double)all_lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const uint32_t hash = hash_of(data, size);

  run((const char *)data, size);
  if (size && size < LONG && hash % ONE_IN == 0)
    run_long(data, size, hash / ONE_IN);
  return 0;
}
