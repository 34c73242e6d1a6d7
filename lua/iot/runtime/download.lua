---The reply of a request that comes in pieces, over a multi handle of iot.core: what runtimes make of
---core.multi's downloads.
local downloads = {}

---@class iot.Download
---@field status integer?  of HTTP, once something was read
---@field headers table<string, string>?  names in lower case, once all was read
---@field package handle userdata?  nil once it has ended
---@field package slot integer
---@field package wait fun(slot: integer, deadline: number?): "news"|"deadline"|"interrupt"
---@field package release fun(slot: integer)?
local Download = {}
Download.__index = Download

---Begin a download.
---@param multi userdata  of iot.core
---@param request table  as for core.request; `timeout`: seconds for all of it; none
---@param wait fun(slot: integer, deadline: number?): "news"|"deadline"|"interrupt"  waits until the multi tells
---that slot, the deadline has come, or an interrupt has
---@param release fun(slot: integer)?  called when the download has ended or was closed; 0: it did not begin
---@return iot.Download?
---@return string? message
---@return table? facts
function downloads.new(multi, request, wait, release)
  local handle, slot, facts = multi:download(request)
  if not handle then
    if release then release(0) end
    return nil, slot, facts
  end
  return setmetatable({ handle = handle, slot = slot, wait = wait, release = release }, Download)
end

-- What ended the waiting before there was news.
local endings = {
  deadline = { "the server did not answer in time", "Timeout" },
  interrupt = { "a signal ended the download", "Interrupted" },
}

---The next piece of the body, never an empty one; nil at its end, which says that all has come, though not whether
---what is compressed in it is whole.
---@param deadline number?  of core.monotonic(), for this piece
---@return string?
---@return string? message  when it failed
---@return table? facts
function Download:read(deadline)
  if not self.handle then return nil end
  local piece, status = self.handle:read()
  while piece == false do
    local ending = endings[self.wait(self.slot, deadline)]
    if ending then
      self:close()
      return nil, ending[1], { code = ending[2] }
    elseif not self.handle then -- it was closed meanwhile
      return nil
    end
    piece, status = self.handle:read()
  end
  if piece then
    self.status = status
    return piece
  end
  local reply, message, facts = self.handle:finish()
  self:close()
  if not reply then return nil, message, facts end
  self.status, self.headers = reply.status, reply.headers
  return nil
end

---Give up what has not been read. Safe to call twice.
function Download:close()
  local handle, release = self.handle, self.release
  self.handle, self.release = nil, nil
  if handle then handle:close() end
  if release then release(self.slot) end
end

return downloads
