# Where things of nginx are, for what starts one: sourced by spec/simulator/launch and spec/nginx/launch.

find_nginx() {
  PATH=$PATH:/usr/sbin:/sbin command -v "${NGINX:-nginx}"
}

# Where the Lua module is differs from one distribution to the next; OpenResty has it built in.
load_modules() {
  for place in /usr/lib/nginx/modules /usr/lib64/nginx/modules /usr/share/nginx/modules \
      /usr/local/lib/nginx/modules /usr/local/libexec/nginx /etc/nginx/modules; do
    if [ -e "$place/ngx_http_lua_module.so" ]; then
      printf 'load_module %s;' "$place/ndk_http_module.so" "$place/ngx_http_lua_module.so"
      return
    fi
  done
}

lua_cpath() {
  for place in /usr/lib/*/lua/5.1 /usr/lib64/lua/5.1 /usr/lib/lua/5.1; do
    [ ! -d "$place" ] || printf '%s/?.so;' "$place"
  done
}

# Whether nginx (OpenResty by its nginx's number) is of this version or a newer one.
nginx_has() { # version
  printf '%s\n' "$1" "$("$nginx" -v 2>&1 | sed 's|.*/||')" | sort -CV
}

# Until nginx reads its configuration, it complains to the file of its build, or to one of its choice.
first_log() {
  ! nginx_has 1.19.5 || echo "-e error.log"
}
