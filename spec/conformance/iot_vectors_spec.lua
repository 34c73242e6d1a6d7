-- Requests of this very service, whose signatures two other programs computed alike (they stand in
-- the project's reference of AWS client behaviour, section 3.4). They hold what the public suite
-- does not: escapes in the path, which the service's signature encodes a second time.
local iot = require "iot"
local digest = require "spec.support.digest"

local SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
local HOST = "https://iot.us-east-1.amazonaws.com"

local START_BODY = '{"templateBody":"{}","inputFileBucket":"bkt","inputFileKey":"k",'
  .. '"roleArn":"arn:aws:iam::123456789012:role/x"}'

local VECTORS = {
  {
    what = "describes a task",
    request = { method = "GET", url = HOST .. "/thing-registration-tasks/abc" },
    names = "host;x-amz-date",
    digest = "e6e11a052f10b0b5c02dc7dc884e5ee911518900d1234e0fc22c87bf43d194dc",
    signature = "cf15b00a76bda413d8889984125f53ce03f147b48a310f7def531b834e40c10a",
  },
  {
    what = "describes a task with a session token",
    request = { method = "GET", url = HOST .. "/thing-registration-tasks/abc" },
    token = "TOKEN",
    names = "host;x-amz-date;x-amz-security-token",
    digest = "cbae8ba9c49b736a33aeb64733af96a957d8fd9f121449a61589127f09a34a0e",
    signature = "38600271cf0235bb2ec035ee07911a216ee6e67ca4ec2cd36427d71ab10022a8",
  },
  {
    what = "describes the task `a/b c`, whose escapes are escaped again",
    request = { method = "GET", url = HOST .. "/thing-registration-tasks/a%2Fb%20c" },
    names = "host;x-amz-date",
    digest = "447821793d0925164a89781d1c5a0a5483c3c6c386817eec4919f180f84e98ee",
    signature = "ca8747aebc9dcaa3c597a6f3749ca4ed4c328a6ae4a645657c0a603b78b2de53",
  },
  {
    what = "lists tasks, with query parameters",
    request = {
      method = "GET",
      url = HOST .. "/thing-registration-tasks?status=InProgress&nextToken=a%2Bb%3D&maxResults=5",
    },
    names = "host;x-amz-date",
    digest = "898b73f8656acba63cdbc66ffc643f32aabd8dcae48ee7ecef9ce544a3e4e72d",
    signature = "003062ae65148273289eb0bf703cdbdbce405ebc6facdc4a40a4d69d9d79e1e6",
  },
  {
    what = "cancels a task",
    request = { method = "PUT", url = HOST .. "/thing-registration-tasks/abc/cancel" },
    names = "host;x-amz-date",
    digest = "120867ff4c12b7de9b6b4acd339f30c39076360d547fd3dc1b37f8dd9e2133f0",
    signature = "2a9750a4ef411af85c67e4cce23dc8569088e15030010b15082a7404148a3f71",
  },
  {
    what = "starts a task, with a body",
    request = {
      method = "POST",
      url = HOST .. "/thing-registration-tasks",
      headers = { ["Content-Type"] = "application/json" },
      body = START_BODY,
    },
    names = "content-type;host;x-amz-date",
    payload = "0d8332a33d5675cef8d5f308cc3aede5f356ffd699942f56692da4d10ec90955",
    digest = "a434ef7d7a71697be623e1850257d1e17dee92d7b9179f176ccd2598abc83ee1",
    signature = "0c16c35b0bd4542933ca9ac80dea52722d50f011369bf8c1b62a9841770e3d1f",
  },
  {
    what = "describes a task below a base path, on a port of its own",
    request = { method = "GET", url = "http://localhost:4566/base/thing-registration-tasks/abc" },
    names = "host;x-amz-date",
    digest = "5c2a63401da8019edf8acffa5eebf0c0bb72169e1dd7c2831ea8b2c5bbe0a859",
    signature = "3d7a401ce431019d878f43747a80b7028ed1e2409271e8c0daaf42a4d0e3b2cf",
  },
}

local EMPTY_PAYLOAD = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

describe("the signature vectors of AWS IoT", function()
  it("are checked by an oracle that derives the documented key", function()
    assert.equal("71b164091f515f299168b6902cd17e4aa7f5402e33ae8d098cbff8683246e972",
      digest.signing_key(SECRET, "20150830", "us-east-1", "iot"))
    assert.equal(EMPTY_PAYLOAD, digest.sha256 "")
  end)

  for _, vector in ipairs(VECTORS) do
    it(vector.what, function()
      local signed = assert(iot.sign(vector.request, {
        credentials = {
          access_key_id = "AKIDEXAMPLE",
          secret_access_key = SECRET,
          session_token = vector.token,
        },
        region = "us-east-1",
        service = "iot",
        time = 1440938160, -- 2015-08-30T12:36:00Z
      }))
      local names, payload = signed.canonical_request:match "\n\n([^\n]*)\n([^\n]*)$"

      assert.equal(vector.names, names)
      assert.equal(vector.payload or EMPTY_PAYLOAD, payload)
      assert.equal(vector.digest, digest.sha256(signed.canonical_request))
      assert.equal("AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iot/aws4_request\n"
        .. vector.digest, signed.string_to_sign)
      assert.equal(vector.signature, signed.signature)
    end)
  end
end)
