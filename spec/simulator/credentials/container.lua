-- The credential endpoint of a container: as of ECS and of EKS pod identities (reference 7.10).

local accounts = require "simulator.accounts"
local answers = require "simulator.answer"
local keys = require "simulator.keys"

local function answer(call)
  if call.request:header("authorization") ~= accounts.container_token then
    return answers.document(400, { code = "InvalidIdToken", message = "The token is not valid" }, "InvalidIdToken")
  end
  local key = keys.issue(call.now)
  return answers.success {
    RoleArn = ("arn:aws:iam::%s:role/Provisioner"):format(accounts.account_id),
    AccessKeyId = key.access_key_id,
    SecretAccessKey = key.secret_access_key,
    Token = key.session_token,
    Expiration = keys.time(key.expires_at),
    AccountId = accounts.account_id,
  }
end

return {
  { name = "container", method = "GET", path = "/container/credentials", answer = answer },
}
