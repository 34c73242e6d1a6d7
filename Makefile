# iot: build, test and install.  `make help` lists the targets.
#
# Settings, on the command line or from the environment:
#   LUA        interpreter to build for: one of LUAS, or a path
#   LUAS       those of `make check`, and of `make fresh` in the place of what SUITE is tested with
#   LUA_CFLAGS where that Lua's headers are, when pkg-config does not know
#   CFLAGS LDFLAGS CPPFLAGS   appended to the project's own
#   PREFIX DESTDIR INST_LIBDIR INST_LUADIR INST_BINDIR   where `make install` puts things
#   SPEC       specs to run instead of all;  BUSTED_ARGS  further options for busted
#   RUNTIME    concurrent or nginx: run those of spec/contract in iot.map, or inside nginx
#   WERROR=1   warnings are errors (the rule when CI is set);  V=1  show the commands

LUA    ?= lua5.4
LUAS   ?= lua5.1 lua5.2 lua5.3 lua5.4 lua5.5 luajit
BUILD  ?= build
PREFIX ?= /usr/local
SUITE  ?= bookworm

# --- Lua ---------------------------------------------------------------------------------------
# The interpreter knows its version best. Where only the headers are installed, its name tells.

LUA_NAME    := $(notdir $(LUA))
LUA_VERSION ?= $(or $(shell $(LUA) -e 'io.write(_VERSION:match("%d%.%d"))' 2>/dev/null),\
                 $(if $(findstring jit,$(LUA_NAME)),5.1,$(patsubst lua%,%,$(LUA_NAME))))

# Where a Lua's headers are: $(call lua_cflags,name,version)
lua_cflags = $(shell set -- $(1) lua$(2) lua-$(2) lua$(subst .,,$(2)); \
  for name; do pkg-config --cflags $$name 2>/dev/null && exit; done; \
  for at in /usr /usr/local $(dir $(LUA)).. ; do for name in "$$@" luajit-$(2:5.1=2.1); do \
  test -f $$at/include/$$name/lua.h && echo -I$$at/include/$$name && exit; done; done)

LUA_CFLAGS := $(or $(LUA_CFLAGS),$(call lua_cflags,$(LUA_NAME),$(LUA_VERSION)))

# Nginx's Lua is LuaJIT, whatever LUA is; the specs that run in it need a build of their own. Looked up
# at each use, since `deps` may have installed it.
nginx_lua_cflags = $(or $(LUAJIT_CFLAGS),$(call lua_cflags,luajit,5.1))

# --- Compiler ----------------------------------------------------------------------------------

CURL_CFLAGS   := $(or $(CURL_CFLAGS),$(shell pkg-config --cflags libcurl 2>/dev/null))
CURL_LIBS     := $(or $(CURL_LIBS),$(shell pkg-config --libs libcurl 2>/dev/null),-lcurl)
CRYPTO_CFLAGS := $(or $(CRYPTO_CFLAGS),$(shell pkg-config --cflags libcrypto 2>/dev/null))
CRYPTO_LIBS   := $(or $(CRYPTO_LIBS),$(shell pkg-config --libs libcrypto 2>/dev/null),-lcrypto)

# Some distributions predefine _FORTIFY_SOURCE, hence the -U.
FORTIFY  := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
OPTIMIZE := -O2 $(FORTIFY) -fstack-protector-strong
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wwrite-strings -Wundef
WERROR   ?= $(filter-out false 0,$(CI))

IOT_CFLAGS = -std=c99 -D_POSIX_C_SOURCE=200809L $(OPTIMIZE) -fPIC -fvisibility=hidden \
             $(WARNINGS) $(if $(filter-out 0,$(WERROR)),-Werror) $(LUA_CFLAGS) $(CURL_CFLAGS) $(CRYPTO_CFLAGS)

# nodelete: libcurl's resolver threads and OpenSSL's exit handlers outlive a closed Lua state.
# Were the module unloaded with the state, they could run code that is no longer there.
ifeq ($(shell uname -s),Darwin)
IOT_LDFLAGS := -bundle -undefined dynamic_lookup
else
IOT_LDFLAGS := -shared -Wl,-z,relro,-z,now -Wl,-z,nodelete
endif

# --- Files -------------------------------------------------------------------------------------

OUT     := $(BUILD)/$(LUA_NAME)
CORE    := $(OUT)/iot/core.so
SOURCES := $(sort $(wildcard csrc/*.c))
OBJECTS := $(SOURCES:csrc/%.c=$(OUT)/obj/%.o)
C_FILES := $(shell find csrc spec -name '*.[ch]' 2>/dev/null | LC_ALL=C sort)
MODULES := $(shell find lua -name '*.lua' 2>/dev/null | LC_ALL=C sort)

INST_LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_VERSION)
INST_LUADIR ?= $(PREFIX)/share/lua/$(LUA_VERSION)
INST_BINDIR ?= $(PREFIX)/bin

# Whatever follows `deps` runs in a sub-make, which finds the flags of what was just installed.
# They build on all processors, unless the user's own -j says otherwise; the + in front of each
# tells make that it is one.
JOBS    := $(shell nproc 2>/dev/null || echo 2)
SUBMAKE  = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))

# What a program needs to find the build instead of an installed iot. LUA is the interpreter for
# the children of a spec. A make that is run by a spec must not take this one's settings for its own.
TREE := $(CURDIR)
ENVIRONMENT = env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL LUA='$(LUA)' IOT_SPEC_RUNTIME='$(RUNTIME)' \
              LUA_PATH='$(TREE)/lua/?.lua;$(TREE)/lua/?/init.lua;$(TREE)/?.lua;;' \
              LUA_CPATH='$(abspath $(OUT))/?.so;;'

export LUAS

# Someone's own settings must not get between the specs and the build.
unexport LUA_INIT $(foreach v,5_2 5_3 5_4 5_5,LUA_INIT_$(v) LUA_PATH_$(v) LUA_CPATH_$(v))

ifneq ($(V),1)
Q := @
endif

.DELETE_ON_ERROR:
.PHONY: all deps for-nginx demo simulator gateway screenshot test check lint format sanitize \
        bench fresh torture fuzz install clean help lint-now sanitized-specs soak states \
        reliability states-now

# --- Build -------------------------------------------------------------------------------------

all: $(CORE) ## Build the C module (the default)
	@:

# Every file is written under a name of its own and then renamed, so that two makes in one tree
# never read each other's half-written files.
$(OUT)/obj/%.o: csrc/%.c Makefile
	@echo "  cc $<"
	@mkdir -p $(@D)
	$(Q)new=$@.$$$$; $(CC) $(IOT_CFLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -MF $$new.d -MT $@ \
	  -c -o $$new $< && mv $$new.d $(@:.o=.d) && mv $$new $@

$(CORE): $(OBJECTS)
	@test -n "$(OBJECTS)" || { echo "no sources in csrc/" >&2; exit 1; }
	@echo "  ld $@"
	@mkdir -p $(@D)
	$(Q)new=$@.$$$$; $(CC) $(IOT_LDFLAGS) $(CFLAGS) $(LDFLAGS) -o $$new $(OBJECTS) \
	  $(CURL_LIBS) $(CRYPTO_LIBS) && mv $$new $@

-include $(OBJECTS:.o=.d)

deps: ## Install what is missing to build and test (Debian, Ubuntu), else name it
	@LUA='$(LUA)' LUA_VERSION='$(LUA_VERSION)' LUA_CFLAGS='$(LUA_CFLAGS)' CC='$(CC)' \
	  CURL_CFLAGS='$(CURL_CFLAGS)' CRYPTO_CFLAGS='$(CRYPTO_CFLAGS)' LUAJIT_CFLAGS='$(nginx_lua_cflags)' \
	  .ci/deps $(DEPS)

# --- Try and test ------------------------------------------------------------------------------

demo: deps ## Run tasks of the simulator to their ends: needs no AWS account
	@echo "building iot for $(LUA) ..."
	+@$(SUBMAKE) all >/dev/null
	@$(ENVIRONMENT) spec/simulator/run spec/examples/demo

simulator: deps ## Run the simulator in the foreground; it prints how to use it
	@$(ENVIRONMENT) spec/simulator/run

gateway: deps for-nginx ## The example gateway against the simulator, on http://127.0.0.1:8080
	@$(ENVIRONMENT) spec/simulator/run spec/examples/gateway/run

screenshot: for-nginx ## A picture of the gateway's page: build/gateway.png
	@$(MAKE) --no-print-directory deps DEPS=browser
	+@$(SUBMAKE) all
	@$(ENVIRONMENT) $(LUA) spec/examples/gateway/screenshot.lua $(BUILD)/gateway.png $(LOOK)

for-nginx: deps
	+@$(SUBMAKE) all LUA=luajit LUA_VERSION=5.1 LUA_CFLAGS='$(nginx_lua_cflags)'

test: deps for-nginx ## Run the specs with LUA; SPEC=path for some of them
	+@$(SUBMAKE) all
	$(Q)$(ENVIRONMENT) .ci/specs $(LUA) $(SPEC) -- $(BUSTED_ARGS)
	$(Q)$(if $(SPEC),:,.ci/others $(LUA))

# --- Check -------------------------------------------------------------------------------------

check: ## Lint, the specs under sanitizers, and on every Lua found
	@.ci/check

lint: ## Luacheck, strict compiler, clang-format, clang-tidy, cppcheck
	@$(MAKE) --no-print-directory deps DEPS=lint
	+@$(SUBMAKE) lint-now

lint-now:
	@CFLAGS='$(IOT_CFLAGS)' .ci/lint

format: ## Let clang-format lay out the C files
	@$(MAKE) --no-print-directory deps DEPS=lint
	clang-format -i $(C_FILES)

SANITIZED    := $(BUILD)/sanitized-$(LUA_NAME)
SANITIZERS   := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LUA_LIBS     := $(or $(LUA_LIBS),$(shell pkg-config --libs $(LUA_NAME) 2>/dev/null),-l$(LUA_NAME))

$(OUT)/lua: spec/support/sanitized_lua.c Makefile
	@echo "  cc $@"
	@mkdir -p $(@D)
	$(Q)$(CC) $(IOT_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@.$$$$ $< $(LUA_LIBS) && mv $@.$$$$ $@

sanitize: deps for-nginx ## The specs under AddressSanitizer, LeakSanitizer and UBSan; SPEC=path for some
	+@$(SUBMAKE) all $(SANITIZED)/lua OUT='$(SANITIZED)' OPTIMIZE='$(SANITIZERS)' \
	  LDFLAGS='$(LDFLAGS) $(SANITIZERS)'
	@$(MAKE) --no-print-directory sanitized-specs OUT='$(SANITIZED)'

sanitized-specs:
	$(Q)$(ENVIRONMENT) LUA='$(abspath $(OUT))/lua' \
	  .ci/sanitized .ci/specs $(OUT)/lua $(SPEC) -- $(BUSTED_ARGS)

# A number from the command line or the environment, else another: $(call setting,NAME,number)
setting = $(or $(if $(filter command% env%,$(origin $(1))),$($(1))),$(2))

soak: deps all ## COUNT=1000000 calls, 1 % with faults, that have to add up, and waits of an hour; SEED=n
	@$(ENVIRONMENT) spec/torture/soak/run $(call setting,COUNT,1000000) $(SEED)

# The sanitizer is in the host and the module; of Lua, OpenSSL and libcurl it sees the locks.
STATES       := $(if $(SANITIZER),$(BUILD)/$(patsubst address,sanitized,$(SANITIZER))-$(LUA_NAME),$(OUT))
STATES_FLAGS := $(if $(filter thread,$(SANITIZER)),-O1 -g -fno-omit-frame-pointer -fsanitize=thread,$(SANITIZERS))

$(OUT)/states: spec/torture/states/host.c Makefile
	@echo "  cc $@"
	@mkdir -p $(@D)
	$(Q)$(CC) $(IOT_CFLAGS) $(CFLAGS) $(LDFLAGS) -rdynamic -pthread -o $@.$$$$ $< $(LUA_LIBS) -ldl && mv $@.$$$$ $@

states: deps ## Lua states in threads, closed at any time: SECONDS=5 each; CLIENTS=100000; SANITIZER=thread, address
	+@$(SUBMAKE) all $(STATES)/states OUT='$(STATES)' \
	  $(if $(SANITIZER),OPTIMIZE='$(STATES_FLAGS)' LDFLAGS='$(LDFLAGS) $(STATES_FLAGS)')
	@$(MAKE) --no-print-directory states-now OUT='$(STATES)'

states-now:
	$(Q)$(ENVIRONMENT) .ci/sanitized spec/torture/states/run $(OUT)/states '$(LUA)' $(call setting,SECONDS,5) \
	  $(if $(SANITIZER),0,$(call setting,CLIENTS,100000))

reliability: deps ## All of these for long, and a table: SECONDS, COUNT, ...; README=README.md to keep it there
	@$(ENVIRONMENT) $(foreach name,SECONDS COUNT CALLS CLIENTS ONLY,PROOF_$(name)='$(call setting,$(name))') \
	  spec/torture/reliability $(README)

# Of the C targets each has its source; the Lua targets are one program under many names.
FUZZ         := $(BUILD)/fuzz
FUZZ_C       := uri sigv4 clock reply
FUZZ_LUA     := $(patsubst spec/fuzz/targets/%.lua,%,$(wildcard spec/fuzz/targets/*.lua))
FUZZ_FLAGS   := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FUZZ_CC      ?= clang
FUZZ_SECONDS := $(if $(filter command% env%,$(origin SECONDS)),$(SECONDS),10)

$(OUT)/fuzz-%: spec/fuzz/%.c spec/fuzz/fuzz.h spec/fuzz/plain.h $(OBJECTS)
	@echo "  ld $@"
	$(Q)$(CC) $(IOT_CFLAGS) -Icsrc $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(OBJECTS) \
	  $(CURL_LIBS) $(CRYPTO_LIBS) $(LUA_LIBS) -lm

fuzz: ## Fuzz every target for SECONDS=10, with libFuzzer; ONLY=uri for some
	@$(MAKE) --no-print-directory deps DEPS=fuzz
	+@$(SUBMAKE) $(FUZZ_C:%=$(FUZZ)/fuzz-%) $(FUZZ)/fuzz-lua OUT='$(FUZZ)' CC='$(FUZZ_CC)' OPTIMIZE='$(FUZZ_FLAGS)'
	@$(ENVIRONMENT) .ci/fuzz '$(FUZZ)' '$(FUZZ_SECONDS)' $(or $(ONLY),$(FUZZ_C) $(FUZZ_LUA))

# These calls of the core go to the host, which lets them fail, or counts them.
WRAPPED := $(foreach name,malloc calloc realloc free curl_global_init_mem curl_easy_init curl_easy_cleanup \
             curl_multi_init curl_multi_cleanup BIO_new_mem_buf BIO_free EVP_MD_CTX_new EVP_MD_CTX_free \
             PEM_read_bio_PrivateKey EVP_PKEY_free d2i_ECDSA_SIG ECDSA_SIG_free,-Wl,--wrap=$(name))

TORTURE := $(addprefix spec/torture/,host.c sources.c)

$(OUT)/torture: $(TORTURE) spec/torture/sources.h $(OBJECTS) Makefile
	@echo "  cc $@"
	$(Q)$(CC) $(IOT_CFLAGS) -Icsrc $(CFLAGS) $(LDFLAGS) $(WRAPPED) -rdynamic -o $@.$$$$ $(TORTURE) $(OBJECTS) \
	  $(LUA_LIBS) $(CURL_LIBS) $(CRYPTO_LIBS) -lm && mv $@.$$$$ $@

torture: deps ## Let allocations fail one by one, under sanitizers; POINTS=n of each kind, SCENARIO=name
	+@$(SUBMAKE) $(SANITIZED)/torture OUT='$(SANITIZED)' OPTIMIZE='$(SANITIZERS)' LDFLAGS='$(LDFLAGS) $(SANITIZERS)'
	$(Q)$(ENVIRONMENT) .ci/sanitized spec/torture/run $(SANITIZED)/torture $(or $(POINTS),200) $(if $(SCENARIO),'$(SCENARIO)')

$(BUILD)/bench/yardsticks: spec/bench/yardsticks.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(IOT_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(CURL_LIBS) $(CRYPTO_LIBS)

bench: deps for-nginx ## Speed, as ratios to libcurl, curl, OpenSSL and nginx; ONLY=P1 for some
	+@$(SUBMAKE) all $(BUILD)/bench/yardsticks
	@$(ENVIRONMENT) $(LUA) spec/bench/bench.lua $(abspath $(BUILD))/bench $(ONLY)

fresh: ## On a bare Debian (root; SUITE=bullseye to sid): make demo, make test
	@.ci/fresh $(SUITE) $(if $(filter-out file,$(origin LUAS)),$(LUAS))

# --- Install -----------------------------------------------------------------------------------

# The installed command runs with the Lua that it was installed for, and finds the library wherever PREFIX
# is: a Lua looks into few places by itself.
INTERPRETER = $(if $(findstring /,$(LUA)),$(abspath $(LUA)),/usr/bin/env $(LUA))
COMMAND     = $(DESTDIR)$(INST_BINDIR)/iot-tasks

install: all ## Install library and command to PREFIX (/usr/local) for LUA
	@echo "  installing to $(DESTDIR)$(INST_LIBDIR)/iot, $(DESTDIR)$(INST_LUADIR)/iot and $(COMMAND)"
	$(Q)mkdir -p '$(DESTDIR)$(INST_LIBDIR)/iot'
	$(Q)install -m 755 $(CORE) '$(DESTDIR)$(INST_LIBDIR)/iot/core.so'
	$(Q)for module in $(MODULES:lua/%=%); do \
	  mkdir -p "$$(dirname '$(DESTDIR)$(INST_LUADIR)'/$$module)" && \
	  install -m 644 lua/$$module '$(DESTDIR)$(INST_LUADIR)'/$$module || exit; done
	$(Q)mkdir -p '$(DESTDIR)$(INST_BINDIR)'
	$(Q)absolute() { case $$1 in /*) echo "$$1" ;; *) echo '$(CURDIR)'"/$$1" ;; esac; }; \
	  lua=$$(absolute '$(INST_LUADIR)') lib=$$(absolute '$(INST_LIBDIR)'); { \
	    printf '%s\n' '#!$(INTERPRETER)' "package.path = [[$$lua/?.lua;$$lua/?/init.lua;]] .. package.path" \
	      "package.cpath = [[$$lib/?.so;]] .. package.cpath" && sed 1d lua/iot-tasks; } >'$(COMMAND)'
	$(Q)chmod 755 '$(COMMAND)'

clean: ## Remove everything built
	rm -rf $(BUILD) csrc/*.o # the latter are LuaRocks'

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12
