--- Every source of temporary credentials, as a list of cases: `use(rig)` sets it up for a
-- spec.support.credentials_rig, and may return options of iot.new; `source` is what the client then shows;
-- `first` are the requests for the first credentials, `again` those for others (the same, if not said);
-- `seconds` is how long they last (an hour); `features` stands in the user agent (reference 8.1).
local credentials_rig = require "spec.support.credentials_rig"

local START_URL, LOGIN_SESSION = credentials_rig.START_URL, credentials_rig.LOGIN_SESSION

local IMDS = { "imds.roles", "imds.role" }

return {
  { what = "the keys of a pod's identity", source = "web_identity", first = { "sts" }, features = "h,k",
    use = function(rig)
      rig:variables { AWS_ROLE_ARN = rig.sim.role_arn,
        AWS_WEB_IDENTITY_TOKEN_FILE = rig:write("token", rig.sim.web_identity_token) }
    end },
  { what = "a profile with a pod's identity", source = "profile", first = { "sts" }, features = "q,k",
    use = function(rig)
      rig:config(rig:role_profile("web_identity_token_file = " .. rig:write("token", rig.sim.web_identity_token)))
    end },
  { what = "a role of a profile", source = "profile", first = { "sts" }, features = "n,o,i",
    use = function(rig) rig:config(rig:role_profile "source_profile = user" .. rig:user_profile "profile user") end },
  { what = "a role of a profile with its own keys", source = "profile", first = { "sts" }, features = "n,o,i",
    use = function(rig)
      rig:config(rig:user_profile "default" .. ("role_arn = %s\nsource_profile = default\n"):format(rig.sim.role_arn))
    end },
  { what = "a role by way of another role", source = "profile", first = { "sts", "sts" }, features = "n,o,i",
    use = function(rig)
      rig:config(rig:role_profile "source_profile = middle" .. rig:user_profile "profile user" .. [[
        [profile middle]
        role_arn = arn:aws:iam::123456789012:role/Auditor
        external_id = factory/7
        source_profile = user
      ]])
    end },
  { what = "a role for a program's keys", source = "profile", first = { "container", "sts" }, features = "v,w,o,i",
    use = function(rig)
      rig:config(rig:role_profile "source_profile = tool" .. "[profile tool]\ncredential_process = "
        .. rig:working_program() .. "\n")
    end },
  { what = "a role for an SSO session", source = "profile", first = { "sso", "sts" }, features = "r,s,o,i",
    use = function(rig)
      rig:write_sso_token("dev")
      rig:config(rig:role_profile "source_profile = sso" .. rig:sso_profile "profile sso")
    end },
  { what = "a role for the environment's keys", source = "profile", first = { "sts" }, features = "g,p,i",
    use = function(rig)
      rig:variables { AWS_ACCESS_KEY_ID = rig.sim.credentials.access_key_id,
        AWS_SECRET_ACCESS_KEY = rig.sim.credentials.secret_access_key }
      rig:config(rig:role_profile "credential_source = Environment")
      return { profile = "default" }
    end },
  { what = "a role for a container's keys", source = "profile", first = { "container", "sts" }, features = "z,p,i",
    use = function(rig)
      rig:use_container()
      rig:config(rig:role_profile "credential_source = EcsContainer")
    end },
  { what = "a role for an instance's keys", source = "profile", features = "0,p,i",
    first = { "imds.token", "imds.roles", "imds.role", "sts" }, again = { "imds.roles", "imds.role", "sts" },
    use = function(rig)
      rig:use_imds()
      rig:config(rig:role_profile "credential_source = Ec2InstanceMetadata")
    end },
  { what = "an SSO session", source = "profile", first = { "sso" }, features = "r,s",
    use = function(rig)
      rig:write_sso_token("dev")
      rig:config(rig:sso_profile "default")
    end },
  { what = "an SSO profile of the old kind", source = "profile", first = { "sso" }, features = "t,u",
    use = function(rig)
      rig:write_sso_token(START_URL, { refreshToken = false, clientId = false, clientSecret = false,
        registrationExpiresAt = false, expiresAt = os.date("!%Y-%m-%dT%H:%M:%SUTC", os.time() + 86400) })
      rig:config(("[default]\nsso_region = us-east-1\nsso_start_url = %s\nsso_account_id = %s\nsso_role_name = %s\n")
        :format(START_URL, rig.sim.sso.account_id, rig.sim.sso.role_name))
    end },
  { what = "a session of aws login", source = "profile", first = {}, again = { "signin" }, features = "AC,AD",
    seconds = 900,
    use = function(rig)
      rig:write_login_token(LOGIN_SESSION)
      rig:config("[default]\nlogin_session = " .. LOGIN_SESSION)
    end },
  { what = "a program", source = "profile", first = { "container" }, features = "v,w",
    use = function(rig) rig:config("[default]\ncredential_process = " .. rig:working_program()) end },
  { what = "a container", source = "container", first = { "container" }, features = "z",
    use = function(rig) rig:use_container() end },
  { what = "a container with a token in a file", source = "container", first = { "container" }, features = "z",
    use = function(rig)
      rig:use_container { AWS_CONTAINER_AUTHORIZATION_TOKEN = "another",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = rig:write("token", rig.sim.container_token) }
    end },
  { what = "an instance", source = "imds", first = { "imds.token", "imds.roles", "imds.role" }, again = IMDS,
    features = "0", use = function(rig) rig:use_imds() end },
  { what = "an instance without the extended paths", source = "imds", again = IMDS, features = "0",
    first = { "imds.token", "imds.roles", "imds.roles", "imds.role" },
    use = function(rig)
      rig.sim:settings { imds_extended = false }
      rig:use_imds()
    end },
  { what = "an instance whose role is named", source = "imds", first = { "imds.token", "imds.role" },
    again = { "imds.role" }, features = "0",
    use = function(rig)
      rig:variables { AWS_EC2_METADATA_SERVICE_ENDPOINT = rig.sim.imds_endpoint,
        AWS_EC2_INSTANCE_PROFILE_NAME = "gateway-role" }
    end },
  { what = "a device", source = "device", first = { "device" },
    use = function(rig) return { device = rig.sim.device } end },
}
