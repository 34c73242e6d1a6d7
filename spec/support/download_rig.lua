--- Downloads in specs: where they may go on, and what is done with them over and over.
--
--   for _, place in ipairs(download_rig.PLACES) do
--     it("comes whole " .. place.name, function()
--       place.run(function() assert.equal("x", rig.fetch(sim.plain_endpoint .. "/")) end)
--     end)
--   end
local command = require "spec.support.command"
local iot = require "iot"
local runtime = require "iot.runtime"

local M = {}

-- Seconds that something may take beyond its time, on a machine that is busy.
M.SLACK = 2

-- Each runs a function there, and passes on what it raises.
M.PLACES = {
  { name = "in the thread that waits", run = function(fn) fn() end },
  { name = "in a map", is_map = true, run = function(fn)
    local _, failed = iot.map({ 1 }, function() fn() end)
    if failed[1] then error(failed[1].error, 0) end
  end },
}

--- Text of so many bytes, in lines of some length, no two of them the same.
function M.text(size)
  local lines, length, number = {}, 0, 0
  while length < size do
    number = number + 1
    lines[number] = ("line %d of many, with %d in it\n"):format(number, number * 7919 % 1000003)
    length = length + #lines[number]
  end
  return table.concat(lines):sub(1, size)
end

--- Bytes as gzip has them.
function M.gzip(bytes)
  local result = command.run({ "gzip", "-nc" }, { input = bytes })
  assert(result.code == 0, result.stderr)
  return result.stdout
end

--- The bytes of an answer whose body is of a known length.
---@param body string
---@param head? string  further lines
---@param size? integer  the length that is told; the body's
function M.answer(body, head, size)
  return ("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n"):format(head or "", size or #body) .. body
end

--- The same in chunks, of all sizes up to a limit.
function M.chunked(body, head, limit)
  local parts, at, size = { "HTTP/1.1 200 OK\r\n" .. (head or "") .. "Transfer-Encoding: chunked\r\n\r\n" }, 1, 1
  while at <= #body do
    local chunk = body:sub(at, at + size - 1)
    parts[#parts + 1] = ("%x\r\n"):format(#chunk) .. chunk .. "\r\n"
    at, size = at + size, math.min(2 * size + 1, limit or 100000)
  end
  parts[#parts + 1] = "0\r\n\r\n"
  return table.concat(parts)
end

---@param sim table  a simulator
function M.new(sim)
  local rig = {}

  --- A request for a URL, or for a path of the simulator over TLS, with changes.
  function rig.request(url, changes)
    local all = {
      url = url:find "^/" and sim.endpoint .. url or url, ca_bundle = sim.ca_bundle, proxy = "",
      connect_timeout = 5, read_timeout = 20,
    }
    for name, value in pairs(changes or {}) do all[name] = value end
    return all
  end

  --- Begin a download.
  function rig.open(url, changes)
    return assert(runtime.download(rig.request(url, changes)))
  end

  --- Read what is left: the bytes and, of a failure, the message and the facts.
  function rig.read(download)
    local pieces = {}
    local piece, message, facts = download:read()
    while piece do
      assert(piece ~= "", "an empty piece")
      pieces[#pieces + 1] = piece
      piece, message, facts = download:read()
    end
    return table.concat(pieces), message, facts
  end

  --- Download all of it. Returns the bytes, the message and the facts of a failure, and the download.
  function rig.fetch(url, changes)
    local download, failure, reason = runtime.download(rig.request(url, changes))
    if not download then return nil, failure, reason end
    local bytes, message, facts = rig.read(download)
    return bytes, message, facts, download
  end

  return rig
end

return M
