-- Who may call the simulator: its region, the keys it knows, and what it gives temporary ones for. Data
-- only, read by nginx and by specs.

return {
  region = "us-east-1",
  service = "iot",
  account_id = "123456789012",

  -- A long-lived key of a user.
  long_lived = {
    access_key_id = "AKIAIOSFODNN7EXAMPLE",
    secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  },

  -- Keys of an assumed role: good only together with their token.
  temporary = {
    access_key_id = "ASIAIOSFODNN7EXAMPLE",
    secret_access_key = "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
    session_token = "IQoJb3JpZ2luX2VjEHQaCXVzLWVhc3QtMSJHMEUCIQD+simulator/temporary/EXAMPLE==",
  },

  -- The same, long after its time.
  expired = {
    access_key_id = "ASIAEXPIREDN7EXAMPLE",
    secret_access_key = "9drTJvcXLB89EXAMPLELB8923FB892xMFIexpired",
    session_token = "IQoJb3JpZ2luX2VjEHQaCXVzLWVhc3QtMSJHMEUCIQD+simulator/expired/EXAMPLE==",
    expires_at = 1577836800,    -- 2020-01-01T00:00:00Z
  },

  -- What the service seals the tokens of its pages with, and signs the links to its reports.
  sealing_key = "simulator/sealing/key/EXAMPLE",

  -- The roles that whoever has a key may assume, by their ARNs, and what else it takes.
  roles = {
    ["arn:aws:iam::123456789012:role/Provisioner"] = {},
    ["arn:aws:iam::123456789012:role/Auditor"] = { external_id = "factory/7" },
    ["arn:aws:iam::123456789012:role/Operator"] = {
      mfa_serial = "arn:aws:iam::123456789012:mfa/ada",
      mfa_code = "314159",
    },
  },

  -- What an identity provider has given a pod, and what makes it become one of the roles.
  web_identity_token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzaW11bGF0ZWQtcG9kIn0.c2ltdWxhdG9yLXdlYi1pZGVudGl0eQ",

  -- IAM Identity Center: a session, its registration, and the one role of its user.
  sso = {
    access_token = "aoaAAAAAGsimulatorSsoAccessTokenEXAMPLE:MGUCMQDsimulator/sso/access",
    refresh_token = "aorAAAAAGsimulatorSsoRefreshTokenEXAMPLE:MGUCMQDsimulator/sso/refresh",
    client_id = "simulatorSsoClientIdEXAMPLE",
    client_secret = "eyJraWQiOiJrZXkiLCJhbGciOiJIUzM4NCJ9.simulatorSsoClientSecretEXAMPLE",
    account_id = "123456789012",
    role_name = "Provisioner",
  },

  -- A session of `aws login`; its key is made by spec/simulator/launch.
  login = {
    client_id = "arn:aws:signin:::devtools/same-device",
    refresh_token = "eyJsimulatorLoginRefreshTokenEXAMPLE.c2ltdWxhdG9yL2xvZ2lu",
  },

  -- What a container sends as Authorization.
  container_token = "Basic c2ltdWxhdG9yOmNvbnRhaW5lci10b2tlbi1FWEFNUExF",

  -- What the device's certificate, made by spec/simulator/launch, is good for.
  device = {
    role_alias = "provisioning",
    thing_name = "gateway-7",
  },
}
