-- The input files that the control interface was given: a stand-in for the buckets of S3.

local validation = require "simulator.validation"

local M = {}

local store = ngx.shared.objects

local MEMBERS = { { "inputFileBucket", "RegistryS3BucketName" }, { "inputFileKey", "RegistryS3KeyName" } }

-- Keeps an object, or returns nil and what is wrong: a name that no task could have for its input, or no room.
function M.put(bucket, key, text)
  local good, _, problem = validation.check({ inputFileBucket = bucket, inputFileKey = key }, MEMBERS)
  if not good then
    return nil, problem
  end
  return store:safe_set(bucket .. "/" .. key, text)
end

function M.get(bucket, key)
  return store:get(bucket .. "/" .. key)
end

function M.clear()
  store:flush_all()
end

return M
