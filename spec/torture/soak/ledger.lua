--- The books of the soak: what the service noted, held against what the callers got.
local core = require "iot.core"

local M = {}

-- What becomes of an answer of each kind: a result, or the code of a failure.
M.OUTCOMES = {
  good = "result", late = "result", last = "result", pieces = "result",
  reset = "ConnectionLost", close = "ConnectionLost", truncated = "ConnectionLost", stall = "Timeout",
  html = "503", throttled = "ThrottlingException", failure = "InternalFailureException",
  garbage = "MalformedResponse", gone = "ResourceNotFoundException",
}

-- An answer of these kinds is no answer: where the connection had been in use before, libcurl tries another.
local UNANSWERED = { reset = true, close = true }

---@class spec.ledger
---@field journal string  a URL
---@field requests integer  that the service noted
---@field resent integer  of those, by libcurl itself
---@field kinds table<string, integer>  requests by kind
---@field events table<string, integer>  attempts of the client, by their outcome
---@field attempts integer
---@field results integer
---@field failures integer
---@field check fun(condition: any, complaint: string)
local Ledger = {}
Ledger.__index = Ledger

function M.new(journal, check)
  return setmetatable({
    journal = journal, check = check, requests = 0, resent = 0, kinds = {}, events = {}, attempts = 0,
    results = 0, failures = 0,
  }, Ledger)
end

local function add(counts, name)
  counts[name] = (counts[name] or 0) + 1
end

--- For the option `on_event`.
function Ledger:note(event)
  self.attempts = self.attempts + 1
  add(self.events, event.code or "result")
end

---@class spec.ledger.Page
---@field by_serial table<string, { id: string, outcome: string }>
---@field answers table<string, integer>  by task: answers that can be results

--- Take over what the service noted since the last time. Nothing may be under way.
---@return spec.ledger.Page
function Ledger:read()
  local reply = assert(core.request { url = self.journal, timeout = 30, proxy = "" })
  local page, seen, in_flight = { by_serial = {}, answers = {} }, {}, 0
  for serial, id, attempt, invocation, kind in reply.body:gmatch "(%d+) (%S+) (%S+) (%S+) (%a+)\n" do
    self.requests, in_flight = self.requests + 1, in_flight + 1
    add(self.kinds, kind)
    page.by_serial[serial] = { id = id, outcome = M.OUTCOMES[kind] }
    if M.OUTCOMES[kind] == "result" then add(page.answers, id) end
    local key = invocation .. "/" .. attempt
    if seen[key] then
      self.resent = self.resent + 1
      self.check(UNANSWERED[seen[key]], "an attempt was made twice: " .. id)
    end
    seen[key] = kind
  end
  local _, lines = reply.body:gsub("\n", "")
  self.check(lines == in_flight, "the journal has lines that cannot be read")
  return page
end

--- A result of a task: it must be an answer to that task which nobody else got.
function Ledger:claim(page, id, serial)
  local key = ("%.0f"):format(serial)
  local entry = page.by_serial[key]
  self.check(entry and entry.id == id and entry.outcome == "result", "a result is no answer to " .. id)
  page.by_serial[key] = nil
  page.answers[id] = (page.answers[id] or 0) - 1
  self.results = self.results + 1
end

-- How often each outcome is due by the service's books. What libcurl tried again by itself, the client did not see.
local function expected_by(self)
  local expected = { Timeout = 0, ConnectionLost = -self.resent }
  for kind, count in pairs(self.kinds) do
    local outcome = M.OUTCOMES[kind]
    expected[outcome] = (expected[outcome] or 0) + count
  end
  return expected
end

--- At the end: each attempt met what the service did with it, or, on a machine that is too busy, that answer came too
--- late and was a Timeout.
---@return integer late  how many did
function Ledger:balance()
  local expected, late = expected_by(self), 0
  for outcome, count in pairs(expected) do
    local lacking = count - (self.events[outcome] or 0)
    if outcome ~= "Timeout" then late = late + lacking end
    self.check(lacking >= 0 or outcome == "Timeout", ("%s: %d at the service, %d at the client"):format(
      outcome, count, count - lacking))
  end
  self.check((self.events.Timeout or 0) == expected.Timeout + late,
    ("%d time-outs, of which %d stalls and %d late"):format(self.events.Timeout or 0, expected.Timeout, late))
  for outcome, count in pairs(self.events) do
    self.check(expected[outcome], ("%d attempts ended as %s, which the service did not do"):format(count, outcome))
  end
  self.check(self.requests == self.attempts + self.resent, ("%d requests, %d attempts and %d of libcurl's own"):format(
    self.requests, self.attempts, self.resent))
  return late
end

return M
