-- The names of what is registered, as the service makes them.

local accounts = require "simulator.accounts"

local M = {}

local PREFIX = ("arn:aws:iot:%s:%s:"):format(accounts.region, accounts.account_id)

function M.thing(name)
  return PREFIX .. "thing/" .. name
end

function M.certificate(id)
  return PREFIX .. "cert/" .. id
end

function M.policy(name)
  return PREFIX .. "policy/" .. name
end

return M
