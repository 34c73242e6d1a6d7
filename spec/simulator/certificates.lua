-- The certificates of simulated things. One was really made, whose key nobody has; the others are it with other
-- bytes in its signature, so that each is of its own, can be read, and proves nothing.

local digest = require "simulator.digest"

local M = {}

local PEM = [[
-----BEGIN CERTIFICATE-----
MIIDizCCAnOgAwIBAgIUZiYEfhTJ+zzoFPBRhLUdFt728egwDQYJKoZIhvcNAQEL
BQAwSTEoMCYGA1UECwwfU2ltdWxhdGVkIGNlcnRpZmljYXRlIGF1dGhvcml0eTEd
MBsGA1UECgwUU2ltdWxhdG9yIG9mIEFXUyBJb1QwHhcNMjAwMTAxMDAwMDAwWhcN
NDkxMjMxMjM1OTU5WjBFMSQwIgYDVQQDDBtTaW11bGF0ZWQgdGhpbmcgY2VydGlm
aWNhdGUxHTAbBgNVBAoMFFNpbXVsYXRvciBvZiBBV1MgSW9UMIIBIjANBgkqhkiG
9w0BAQEFAAOCAQ8AMIIBCgKCAQEAiWvojAI20w+Px82JRimwO1+qKLc3XsHpu4tp
oY3zn2eMM5q3lHPCCZdoGfsOvby9nxxKpMZqvcPFrTDx7FtvM1gwAy1/hCJr2U4c
bV0Wp+NwSGEdIzrg2LiHtHJ9+b65nEkw7ByAugbwlfqs7qdrca/cCYsaRkGWqZRY
AZ+S1pq13hvG/keZAmnZG1E/xKHTyuCLMbzsfYGMZDU8flXYObT8JFOHwA3KzbuM
3B0WfI8NUeh4j4qrhY6UneaAQnzdwaQDc4jZom5XbemyixqfqoLi/sA7VLopnI8u
TFxlxa4dTd7mduUcyieB73xWgmWLqnV76MYc0yMm+X8RjYNQFQIDAQABo28wbTAJ
BgNVHRMEAjAAMAsGA1UdDwQEAwIHgDATBgNVHSUEDDAKBggrBgEFBQcDAjAdBgNV
HQ4EFgQUbFqK0CM7thp6UajNhiUusBEEISowHwYDVR0jBBgwFoAUlRzvM6O2Ds3y
2plQM6uGFOdcdIcwDQYJKoZIhvcNAQELBQADggEBABGbYxg5CUv1991/bd9LxLs8
2XcMlZOgTXig0jedvd5JhQksqKEtmJbWG6DwOEWhW9jOq+42z9O736CQbL49CFYk
E4yAvFpCOQ6xo4fgxbK3l3oyzpdmgC0W2bF7Nlhe8sbNL+GQDEzh0xlKTTCWcV29
Xw8nrYoJil2CHjUnUAP6xFiVwbTf4ONWDznOo2x803cyDoW+TjtZ6l8MnChx9eQw
VIwO6P02eeJwL5leffvlqCdzdgEdC70WLD8aBO5zIjjDm9Pe22rh5kW5PKYUGz/6
y6D+G92IdAnKPa29VqmEfav7g/tUt9RNaI/nWqYcCzfZzhx9mK0s7gP6U6TPklg=
-----END CERTIFICATE-----
]]

-- In the text of the signature, which ends the certificate: eight digits of the series, eight of the number.
local PLACE = PEM:find("\n................[^\n]+\n[^\n]+\n%-%-%-%-%-END")
local HEAD, TAIL = PEM:sub(1, PLACE), PEM:sub(PLACE + 17)

-- A series of certificates: what those of one task have in common, as hexadecimal digits.
function M.series(name)
  return digest.hex(digest.sha256(name))
end

-- The digits of a number, which stand in both the certificate and its id.
function M.digits(number)
  return ("%08d"):format(number)
end

-- The id of a certificate without its last digits, which are those of its number.
function M.id_head(series)
  return series:sub(1, 56)
end

function M.id(series, number)
  return M.id_head(series) .. M.digits(number)
end

-- The certificate with these digits, or whatever comes in their place.
function M.pem_with(series, digits)
  return HEAD .. series:sub(1, 8) .. digits .. TAIL
end

function M.pem(series, number)
  return M.pem_with(series, M.digits(number))
end

return M
