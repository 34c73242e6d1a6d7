--- Raw HTTP/1.1 messages and their parts, byte for byte: nothing is trimmed, decoded or repaired.
local M = {}

---@class spec.http_message
---@field method string
---@field target string  as it stands, spaces and bytes above ASCII included
---@field headers string[][]  `{ name, value }` in order; a folded value keeps its line ends
---@field body string

--- Parse a request whose lines end in LF or CRLF. The header block may end with the text.
---@param text string
---@return spec.http_message
function M.parse(text)
  local head, body = text, ""
  local head_end, body_start = text:find "\r?\n\r?\n"
  if head_end then head, body = text:sub(1, head_end - 1), text:sub(body_start + 1) end

  local request_line, rest = head:match "^([^\r\n]*)\r?\n?(.*)$"
  local method, target = request_line:match "^(%S+) (.*) HTTP/1%.1$"
  assert(method, "no HTTP/1.1 request line: " .. request_line)

  local headers = {}
  for ending in (rest .. "\n"):gmatch "([^\n]*)\n" do
    local line = ending:gsub("\r$", "")
    local name, value = line:match "^([^%s:]+):(.*)$"
    if name then
      headers[#headers + 1] = { name, value }
    elseif line:find "^[ \t]" and headers[1] then
      headers[#headers][2] = headers[#headers][2] .. "\n" .. line
    else
      assert(line == "", "no header line: " .. line)
    end
  end
  return { method = method, target = target, headers = headers, body = body }
end

--- Lower-case header name -> its values in order. Only that order has a meaning in HTTP.
---@param headers string[][]
---@return table<string, string[]>
function M.by_name(headers)
  local found = {}
  for _, header in ipairs(headers) do
    local name = header[1]:lower()
    found[name] = found[name] or {}
    table.insert(found[name], header[2])
  end
  return found
end

--- The parts of an absolute URL: `https://host`, `/path`, `a=b` (nil without a `?`).
---@param url string
---@return string origin
---@return string path
---@return string? query
function M.split_url(url)
  local origin, path, query = url:match "^(%a+://[^/?]*)([^?]*)%??(.*)$"
  return origin, path, url:find("?", 1, true) and query or nil
end

--- The `name=value` pieces of a query as they stand, sorted: equal lists are equal sets.
---@param query string
---@return string[]
function M.parameters(query)
  local found = {}
  for parameter in query:gmatch "[^&]+" do found[#found + 1] = parameter end
  table.sort(found)
  return found
end

--- Bytes of a percent-encoded text. `+` stays.
---@param text string
---@return string
function M.decode(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

return M
