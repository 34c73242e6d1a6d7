rockspec_format = "3.0"
package = "iot"
version = "scm-1"

-- The project has no public address yet: `luarocks make` in a checkout does not look at this one.
source = { url = "git+https://example.invalid/iot.git" }

description = {
  summary = "AWS IoT bulk provisioning: requests signed, sent and decoded in C",
  detailed = [[
Starts and describes AWS IoT thing registration tasks, and signs requests of any AWS service.
A C module signs (OpenSSL), sends (libcurl) and decodes (lua-cjson).]],
  license = "MIT",
  labels = { "aws", "iot", "sigv4" },
}

dependencies = { "lua >= 5.1, < 5.6", "lua-cjson" }

-- Curl by its library: Debian keeps its header where LuaRocks does not look, but the compiler does.
external_dependencies = {
  CURL = { library = "curl" },
  CRYPTO = { header = "openssl/evp.h" },
}

build = {
  type = "builtin",
  modules = {
    ["iot.core"] = {
      sources = {
        "csrc/iot_attempt.c",
        "csrc/iot_buffer.c",
        "csrc/iot_clock.c",
        "csrc/iot_crypto.c",
        "csrc/iot_file.c",
        "csrc/iot_http.c",
        "csrc/iot_http_client.c",
        "csrc/iot_http_exchange.c",
        "csrc/iot_http_multi.c",
        "csrc/iot_http_options.c",
        "csrc/iot_interrupt.c",
        "csrc/iot_multi.c",
        "csrc/iot_operations.c",
        "csrc/iot_process.c",
        "csrc/iot_reply.c",
        "csrc/iot_request.c",
        "csrc/iot_sigv4.c",
        "csrc/iot_status.c",
        "csrc/iot_terminal.c",
        "csrc/iot_trust.c",
        "csrc/iot_uri.c",
        "csrc/lua_client.c",
        "csrc/lua_codec.c",
        "csrc/lua_http.c",
        "csrc/lua_iot.c",
        "csrc/lua_multi.c",
        "csrc/lua_operation.c",
        "csrc/lua_params.c",
        "csrc/lua_process.c",
        "csrc/lua_reply.c",
        "csrc/lua_sigv4.c",
        "csrc/lua_system.c",
        "csrc/lua_terminal.c",
        "csrc/lua_util.c",
      },
      defines = { "_POSIX_C_SOURCE=200809L" },
      incdirs = { "$(CURL_INCDIR)", "$(CRYPTO_INCDIR)" },
      libdirs = { "$(CURL_LIBDIR)", "$(CRYPTO_LIBDIR)" },
      libraries = { "curl", "crypto" },
    },
    ["iot.call"] = "lua/iot/call.lua",
    ["iot.client"] = "lua/iot/client.lua",
    ["iot.clock_skew"] = "lua/iot/clock_skew.lua",
    ["iot.config.options"] = "lua/iot/config/options.lua",
    ["iot.config.profile_parser"] = "lua/iot/config/profile_parser.lua",
    ["iot.config.profiles"] = "lua/iot/config/profiles.lua",
    ["iot.config.settings"] = "lua/iot/config/settings.lua",
    ["iot.config.user_agent"] = "lua/iot/config/user_agent.lua",
    ["iot.config.variables"] = "lua/iot/config/variables.lua",
    ["iot.credentials.base64url"] = "lua/iot/credentials/base64url.lua",
    ["iot.credentials.chain"] = "lua/iot/credentials/chain.lua",
    ["iot.credentials.container"] = "lua/iot/credentials/container.lua",
    ["iot.credentials.device"] = "lua/iot/credentials/device.lua",
    ["iot.credentials.environment"] = "lua/iot/credentials/environment.lua",
    ["iot.credentials.exchange"] = "lua/iot/credentials/exchange.lua",
    ["iot.credentials.imds"] = "lua/iot/credentials/imds.lua",
    ["iot.credentials.login"] = "lua/iot/credentials/login.lua",
    ["iot.credentials.process"] = "lua/iot/credentials/process.lua",
    ["iot.credentials.profile"] = "lua/iot/credentials/profile.lua",
    ["iot.credentials.record"] = "lua/iot/credentials/record.lua",
    ["iot.credentials.refresh"] = "lua/iot/credentials/refresh.lua",
    ["iot.credentials.sso"] = "lua/iot/credentials/sso.lua",
    ["iot.credentials.static"] = "lua/iot/credentials/static.lua",
    ["iot.credentials.sts"] = "lua/iot/credentials/sts.lua",
    ["iot.credentials.token_cache"] = "lua/iot/credentials/token_cache.lua",
    ["iot.credentials.web_identity"] = "lua/iot/credentials/web_identity.lua",
    ["iot.endpoint"] = "lua/iot/endpoint.lua",
    ["iot.errors"] = "lua/iot/errors.lua",
    ["iot.excerpt"] = "lua/iot/excerpt.lua",
    iot = "lua/iot/init.lua",
    ["iot.lines"] = "lua/iot/lines.lua",
    ["iot.links"] = "lua/iot/links.lua",
    ["iot.map"] = "lua/iot/map.lua",
    ["iot.pages"] = "lua/iot/pages.lua",
    ["iot.progress"] = "lua/iot/progress.lua",
    ["iot.rate_limiter"] = "lua/iot/rate_limiter.lua",
    ["iot.reports"] = "lua/iot/reports.lua",
    ["iot.retry"] = "lua/iot/retry.lua",
    ["iot.runtime.blocking"] = "lua/iot/runtime/blocking.lua",
    ["iot.runtime.concurrent"] = "lua/iot/runtime/concurrent.lua",
    ["iot.runtime.download"] = "lua/iot/runtime/download.lua",
    ["iot.runtime"] = "lua/iot/runtime/init.lua",
    ["iot.runtime.timers"] = "lua/iot/runtime/timers.lua",
    ["iot.types"] = "lua/iot/types.lua",
    ["iot.waiter"] = "lua/iot/waiter.lua",
    ["iot.xml"] = "lua/iot/xml.lua",
  },
}
