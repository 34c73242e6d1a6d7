-- What iot.sign and iot.presign refuse, and what they leave alone.
local iot = require "iot"
local signing = require "spec.support.signing"

local SECRET, TIME, MAKE_OPTIONS, credentials =
  signing.SECRET, signing.TIME, signing.MAKE_OPTIONS, signing.credentials
local options, get, sign, presign =
  signing.options, signing.get, signing.sign, signing.presign
local failure_text, assert_invalid, assert_bad_credentials, call, assert_misuse =
  signing.failure_text, signing.assert_invalid, signing.assert_bad_credentials, signing.call, signing.assert_misuse
local assert_refused, copy = signing.assert_refused, signing.copy

-- Bad values and misuse ----------------------------------------------------------------------

for _, form in ipairs { "sign", "presign" } do
  local make_options = MAKE_OPTIONS[form]

  describe("a bad value given to " .. form, function()
    for _, case in ipairs {
      { "a line end", "a\nb" },
      { "a CRLF", "a\r\nX-Evil: b" },
      { "a carriage return", "a\rb" },
      { "a NUL", "a\0b" },
      { "a line end at the end", "a\n" },
      { "an empty folded line", "a\n\n b" },
    } do
      local what, value = case[1], case[2]
      it("is a header value with " .. what, function()
        assert_invalid(call(form, get("/", { { "X-A", value } }), make_options()))
        assert_invalid(call(form, get("/", { ["X-A"] = value }), make_options()))
        assert_invalid(call(form, get("/", { { "User-Agent", value } }), make_options()))
      end)
    end

    it("is a header name that is no token", function()
      for _, name in ipairs { "", "X A", "X:A", "X-A\r\nX-B", "X-A\n", "X\0A", "X-\195\169", " X-A" } do
        assert_invalid(call(form, get("/", { { name, "a" } }), make_options()))
      end
    end)

    for _, case in ipairs {
      { "a line end", "AKID\nX" },
      { "a CRLF", "AKID\r\nX-Evil: b" },
      { "a folded line", "AKID\n X" },
      { "a NUL", "AKID\0" },
    } do
      local what, value = case[1], case[2]
      for _, field in ipairs { "access_key_id", "session_token" } do
        it(("is %s with %s"):format(field, what), function()
          local given = make_options { credentials = credentials { [field] = value } }
          assert_bad_credentials(call(form, get(), given))
        end)
      end
    end

    for _, field in ipairs { "access_key_id", "secret_access_key" } do
      it("is an empty " .. field, function()
        local given = make_options { credentials = credentials { [field] = "" } }
        assert_refused(field, form, get(), given)
      end)
    end

    for _, field in ipairs { "region", "service" } do
      it("is an empty " .. field, function()
        assert_refused(field, form, get(), make_options { [field] = "" })
      end)
    end

    for _, field in ipairs { "credentials", "region", "service" } do
      it("is no " .. field, function()
        local given = make_options()
        given[field] = nil
        assert_refused(field, form, get(), given)
      end)
    end

    for _, field in ipairs { "method", "url" } do
      it("is no " .. field, function()
        local request = get()
        request[field] = nil
        assert_refused(field, form, request, make_options())
      end)
    end

    for _, field in ipairs { "access_key_id", "secret_access_key" } do
      it("is no " .. field, function()
        local given = make_options()
        given.credentials[field] = nil
        assert_refused(field, form, get(), given)
      end)
    end

    it("is a field of the request of another type", function()
      for field, value in pairs { method = 5, url = {}, headers = "Host: a", body = {} } do
        local request = get()
        request[field] = value
        assert_refused(field, form, request, make_options())
      end
    end)

    it("is a list of headers that would lose some", function()
      for _, headers in ipairs { { { "A", "b" }, C = "d" }, { { "A", "b" }, [3] = { "C", "d" } } } do
        assert_misuse("headers", form, get("/", headers), make_options())
      end
    end)

    it("is a header that is no pair of strings", function()
      for _, headers in ipairs { { "Host: a" }, { { "X-A" } }, { { "X-A", {} } }, { ["X-A"] = true } } do
        assert_refused("header", form, get("/", headers), make_options())
      end
    end)

    it("is a credential of another type", function()
      for field, value in pairs { access_key_id = {}, secret_access_key = {}, session_token = true } do
        local given = make_options { credentials = credentials { [field] = value } }
        assert_refused(field, form, get(), given)
      end
    end)
  end)

  describe("misuse of " .. form, function()
    it("is a request that is no table", function()
      assert_misuse("request", form, nil, make_options())
      assert_misuse("request", form, "GET /", make_options())
    end)

    it("is options that are no table", function()
      assert_misuse("options", form, get(), nil)
      assert_misuse("options", form, get(), "us-east-1")
    end)

    it("is an unknown option", function()
      for _, name in ipairs { "regoin", "Region", "normalise_path", "expires" } do
        assert_misuse(name, form, get(), make_options { [name] = "x" })
      end
    end)

    it("is an option of the wrong type", function()
      for name, value in pairs {
        credentials = "AKIDEXAMPLE", region = 5, service = true, time = "now",
        normalize_path = "no", double_encode_path = 0, sign_body = "yes", omit_session_token = 1,
      } do
        assert_misuse(name, form, get(), make_options { [name] = value })
      end
    end)
  end)
end

describe("misuse of presign", function()
  it("is an expires_in of the wrong type", function()
    assert_misuse("expires_in", "presign", get(), options { expires_in = "soon" })
  end)
end)

-- What comes in and what goes out ------------------------------------------------------------

describe("a caller's table", function()
  local request = {
    method = "post",
    url = "https://HOST.example:443//a/../b?z=1&y",
    headers = { { "X-Amz-Date", "stale" }, { "X-B", " 2  3 " } },
    body = "body",
  }

  it("is not changed", function()
    for form, make_options in pairs(MAKE_OPTIONS) do
      local given = make_options { credentials = credentials { session_token = "T" }, sign_body = true }
      local request_before, given_before = copy(request), copy(given)
      local signed = assert(iot[form](request, given))
      assert.same(request_before, request)
      assert.same(given_before, given)
      assert.are_not.equal(request.headers, signed.headers)
    end
  end)

  it("may hold all that a credential record holds", function()
    local record = credentials { session_token = "T", expiration = TIME + 3600.5, account_id = "123456789012" }
    assert.is_table(sign(get(), { credentials = record }))
  end)
end)

describe("the secret key", function()
  it("is in no result", function()
    local function search(value, where)
      if type(value) == "table" then
        for key, inner in pairs(value) do search(inner, where .. "." .. tostring(key)) end
      end
      assert.is_nil(tostring(value):find(SECRET, 1, true), where)
    end
    local _, signed = sign(get())
    search(signed, "signed")
    _, signed = presign(get())
    search(signed, "presigned")
  end)

  it("is in no message, nor is the session token", function()
    local token = "SESSION-TOKEN-OF-THE-SPEC"
    local secrets = credentials { session_token = token }
    for _, attempt in ipairs {
      { get("/", { { "X-A", "a\nb" } }), options { credentials = secrets } },
      { { method = "GET", url = "nowhere" }, options { credentials = secrets } },
      { get(), options { credentials = secrets, region = "" } },
      { get(), options { credentials = credentials { session_token = token .. "\n" } } },
      { get(), options { credentials = credentials { access_key_id = "a\nb", session_token = token } } },
      { get(), options { credentials = secrets, regoin = "a" } },
      { get(), options { credentials = secrets, time = "now" } },
      { get(), options { credentials = SECRET .. token } },
      { SECRET .. token, options { credentials = secrets } },
      { get(), SECRET .. token },
    } do
      local _, result, message, detail = pcall(iot.sign, attempt[1], attempt[2])
      local said = failure_text(message or result, detail)
      assert.is_nil(said:find(SECRET, 1, true), said)
      assert.is_nil(said:find(token, 1, true), said)
    end
  end)
end)
