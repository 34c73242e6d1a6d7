---@meta
---The types of the library, for editors and for readers; never loaded.

---@alias iot.Kind
---| "validation"     a parameter can only go wrong; nothing was sent
---| "configuration"  an option, a variable or the machine
---| "credentials"    none were found, or they cannot be used
---| "transport"      no whole reply came
---| "timeout"        a time limit passed
---| "response"       a reply came that cannot be understood
---| "service"        the service answered with an error
---| "waiter"         a task ended otherwise than waited for

---What comes third with a failure; `tostring` gives its message.
---@class iot.Error
---@field kind iot.Kind
---@field code string  the service's own, or one of `iot.errors`.codes
---@field message string  the second value of the failure
---@field operation string?
---@field status integer?  of HTTP, when a reply came
---@field request_id string?  the service's id of the request
---@field attempts integer?  how many requests were sent; of a wait, how many polls made
---@field retryable boolean  another attempt may succeed
---@field throttled boolean  the service asked for fewer requests
---@field retry_after number?  seconds that it asked to wait
---@field server_time number?  of the reply, seconds since the epoch
---@field cause iot.Error?  the last failure before time was up
---@field quota_exceeded boolean?  not tried again, since too many calls have failed of late
---@field task iot.Task?  of a wait: the last description
---@field body string?  an excerpt, fit to be shown, of a reply that could not be understood

---@class iot.Credentials
---@field access_key_id string
---@field secret_access_key string
---@field session_token string?
---@field expiration number?  seconds since the epoch
---@field account_id string?

---A source of credentials. `fetch` returns a record, or nil, the reason, and "NoCredentials" when it is
---not set up, another code when it is, but fails; after "Interrupted" nothing else is asked.
---@class iot.Provider
---@field name string  what `client.credentials_source` shows
---@field feature string?  its ids in the user agent, joined with commas
---@field fetch fun(deadline: number?): iot.Credentials?, string?, string?
---@field fixed boolean?  always the same credentials: no renewal can help
---@field always boolean?  not kept: asked for each call

---Options of `iot.new`; durations in seconds.
---@class iot.Options
---@field region string?  else AWS_REGION, AWS_DEFAULT_REGION, the profile's, the instance's
---@field profile string?  else AWS_PROFILE, AWS_DEFAULT_PROFILE, "default"
---@field device iot.DeviceOptions?  credentials of a device certificate, instead of all other providers
---@field mfa_code (fun(serial: string): string?, string?)?  asks for a code, or returns nil and the reason
---@field on_event fun(event: iot.Event)?  sees every attempt, and what comes of the cache
---@field cache { dict: string, ttl: number?, failure_ttl: number?, scope: string? }?  inside nginx: the lua_shared_dict
---in which descriptions of tasks are kept, seconds for how long (1), and failures (the same, at most 1); scope: whose
---descriptions these are, else as the credentials tell
---@field credentials iot.Credentials|(fun(): iot.Credentials?, string?)|nil  else from AWS_ACCESS_KEY_ID, ...
---@field endpoint string?  URL; else AWS_ENDPOINT_URL_IOT, AWS_ENDPOINT_URL, else the region's
---@field use_fips_endpoint boolean?  else AWS_USE_FIPS_ENDPOINT
---@field use_dualstack_endpoint boolean?  else AWS_USE_DUALSTACK_ENDPOINT
---@field connect_timeout number?  for name, connection and TLS handshake; 3.1
---@field read_timeout number?  between two lines of a head or pieces of a body, or before the first; 60
---@field timeout number?  for a whole call, its retries included; 120
---@field ca_bundle string?  PEM file or hashed directory of the only CAs to trust; else AWS_CA_BUNDLE
---@field proxy string?  URL, or "" for none; else http_proxy, https_proxy and no_proxy, as libcurl reads them
---@field app_id string?  for the user agent; else AWS_SDK_UA_APP_ID
---@field retry { mode: ("standard"|"adaptive")?, max_attempts: integer? }?  else AWS_RETRY_MODE and
---AWS_MAX_ATTEMPTS, the profile's, "standard" and 3
---@field runtime iot.Runtime?  who sends and waits; else the one that fits where the call is made

---@class iot.DeviceOptions
---@field endpoint string  of the account, as DescribeEndpoint type iot:CredentialProvider tells
---@field role_alias string
---@field certificate string  path of a PEM file
---@field key string  path of a PEM file
---@field thing_name string?
---@field ca_bundle string?

---One attempt, or a look into the cache; never a secret.
---@class iot.Event
---@field operation string
---@field cache "hit"|"miss"|"full"|nil  of a look, which is told of as attempt 0: a miss before its attempts; full:
---there was no room to keep the answer
---@field age number?  of a hit: seconds since the service's answer
---@field attempt integer  from 1; 0: none was made
---@field status integer?  of HTTP
---@field code string?  of the failure
---@field duration number  seconds
---@field delay number  seconds waited before it
---@field credentials_source string

---Options of one call.
---@class iot.CallOptions
---@field timeout number?  seconds for this call; else the client's

---One attempt: the result and the status of HTTP; or nil, the message and facts.
---@alias iot.Send fun(native: userdata, operation: string, params: table, attempt: iot.Attempt):
---table?, string|integer|nil, table?

---Who sends, waits and tells the time: all that the library knows of the outside.
---@class iot.Runtime
---@field now fun(): number  seconds since the epoch
---@field monotonic fun(): number  seconds of a clock that is never set
---@field sleep fun(seconds: number): boolean?  false when an interrupt ended it early
---@field random fun(): number  from 0 up to, not including, 1
---@field request fun(request: table): table?, string?, table?  a plain HTTP exchange; see csrc/lua_http.c
---@field download fun(request: table): iot.Download?, string?, table?  the same, its body in pieces
---@field run fun(arguments: string[], seconds: number): table?, string?, table?  a program; see csrc/lua_system.c
---@field serialize fun(owner: table, deadline: number?, fn: function, ...): ...  run fn(...) while no other does
---for this owner; who cannot begin before the deadline, of monotonic(), gets nil, a message and "Timeout"
---@field goes_on (fun(thread: thread): boolean)?  whether a coroutine is known to go on; coroutine.status tells
---@field resolve (fun(host: string): string[]?, string?)?  the addresses of a name
---@field send iot.Send

---One signed attempt.
---@class iot.Attempt
---@field credentials iot.Credentials
---@field time number  of the signature, seconds since the epoch
---@field timeout number  seconds that are left for it
---@field user_agent string
---@field invocation_id string  the same for all attempts of a call
---@field trace_id string?
---@field number integer  from 1
---@field max_attempts integer
---@field delay number  seconds slept before it
---@field connect_timeout number  seconds
---@field read_timeout number  seconds
---@field proxy string?  URL, "" for none
---@field ttl number?  when its reply will have been given up, seconds since the epoch by the server's clock

---What a client was made of.
---@class iot.Settings
---@field region string
---@field endpoint string
---@field endpoint_source string  for messages
---@field custom_endpoint boolean
---@field profiles iot.Profiles
---@field sources table<string, string>  where each came from, for messages
---@field endpoint_for fun(service: iot.ServiceName, region: string?): string?, string?, string?
---@field use_fips boolean
---@field use_dualstack boolean
---@field connect_timeout number
---@field read_timeout number
---@field timeout number
---@field retry { mode: "standard"|"adaptive", max_attempts: integer, parameters: "2.0"|"2.1" }
---@field defaults_mode string?
---@field ca_bundle string?
---@field ca_bundle_source string?  for messages
---@field proxy string?
---@field app_id string?

---A client. Its fields are read-only.
---@class iot.Client
---@field region string
---@field endpoint string  the URL that requests go to
---@field credentials_source string?  the provider that had credentials, after the first call
---@field close fun(self: iot.Client)  release connections; later calls raise
local Client = {}

---Open: what is not known here, the service may say and understand.
---@alias iot.TaskStatus "InProgress"|"Completed"|"Failed"|"Cancelled"|"Cancelling"|string
---@alias iot.ReportType "ERRORS"|"RESULTS"|string

---@class iot.Task
---@field taskId string?
---@field creationDate number?  seconds since the epoch, fractions kept
---@field lastModifiedDate number?  likewise; moves while the task makes progress
---@field templateBody string?
---@field inputFileBucket string?
---@field inputFileKey string?
---@field roleArn string?
---@field status iot.TaskStatus?
---@field message string?
---@field successCount integer?
---@field failureCount integer?
---@field percentageProgress integer?  0 to 100

---Describe a bulk registration task.
---@param params { taskId: string }
---@param options iot.CallOptions?
---@return iot.Task? task
---@return string? message
---@return iot.Error? detail
function Client:describe_thing_registration_task(params, options) end

---Start a bulk registration task.
---@param params { templateBody: string, inputFileBucket: string, inputFileKey: string, roleArn: string }
---@param options iot.CallOptions?
---@return { taskId: string }? started
---@return string? message
---@return iot.Error? detail
function Client:start_thing_registration_task(params, options) end

---Stop a bulk registration task: it is `Cancelling` for a while. What it has registered stays.
---@param params { taskId: string }
---@param options iot.CallOptions?
---@return table? stopped  an empty one
---@return string? message
---@return iot.Error? detail
function Client:stop_thing_registration_task(params, options) end

---List bulk registration tasks, a page of them; see `thing_registration_tasks`.
---@param params { status: iot.TaskStatus?, maxResults: integer?, nextToken: string? }
---@param options iot.CallOptions?
---@return { taskIds: string[]?, nextToken: string? }? page
---@return string? message
---@return iot.Error? detail
function Client:list_thing_registration_tasks(params, options) end

---List the links to a report of a task, a page of them; see `thing_registration_task_report`. A link is
---a secret, and expires.
---@param params { taskId: string, reportType: iot.ReportType, maxResults: integer?, nextToken: string? }
---@param options iot.CallOptions?
---@return { resourceLinks: string[]?, reportType: iot.ReportType?, nextToken: string? }? page
---@return string? message
---@return iot.Error? detail
function Client:list_thing_registration_task_reports(params, options) end

---Register one thing, as a line of an input file would.
---@param params { templateBody: string, parameters: table<string, string>? }
---@param options iot.CallOptions?
---@return { certificatePem: string?, resourceArns: table<string, string>? }? registered
---@return string? message
---@return iot.Error? detail
function Client:register_thing(params, options) end

---Iterate over the ids of bulk registration tasks, page by page. The iterator raises the detail of a call that
---failed, an `iot.Error`; to call it again fetches that page again.
---@param params { status: iot.TaskStatus?, maxResults: integer?, nextToken: string? }?
---@param options iot.CallOptions?  for each call
---@return fun(): string?
function Client:thing_registration_tasks(params, options) end

---Iterate over the links to a report of a task, likewise.
---@param params { taskId: string, reportType: iot.ReportType, maxResults: integer?, nextToken: string? }
---@param options iot.CallOptions?  for each call
---@return fun(): string?
function Client:thing_registration_task_report_links(params, options) end

---Iterate over the records of a report of a task: its links are listed and downloaded, one after the other, while
---the records are used. No more is held than a piece of a download and a line. A link that has expired meanwhile is
---listed again, once.
---
---The iterator raises the detail of what failed, an `iot.Error`. To call it again tries once more what could not be
---listed or opened; in the middle of a download it cannot go on.
---@param params { taskId: string, reportType: iot.ReportType, maxResults: integer? }
---@param options iot.CallOptions?  for each call, and for the opening of each link; what follows is bound by the
---client's read_timeout
---@return fun(): iot.ReportRecord?
---@return nil
---@return nil
---@return table closing  for the generic `for` of Lua 5.4, which gives up the download when the loop is left
function Client:thing_registration_task_report(params, options) end

---Wait until a bulk registration task has ended. A failure of kind "waiter" is one of the task or of
---time. What another attempt may cure is waited out.
---@param params { taskId: string }
---@param options iot.WaitOptions?
---@return iot.Task? task  it is completed
---@return string? message
---@return iot.Error? detail
function Client:wait_for_thing_registration_task(params, options) end

---What went wrong with an item of `iot.map`; `tostring` gives its message.
---@class iot.MapFailure
---@field index integer
---@field item any
---@field message string
---@field detail any  what fn returned third: an iot.Error, of this library's calls
---@field raised boolean?  fn raised an error
---@field error any  the value that it raised
---@field traceback string?

---Options of `iot.check_provisioning`.
---@class iot.CheckOptions
---@field max_problems integer?  how many are kept for the result, from 0; 1000
---@field on_problem fun(problem: iot.Problem)?  sees every problem when it is found

---@class iot.CheckResult
---@field ok boolean  there is no problem
---@field lines integer  how many the input has
---@field failed_lines integer  how many of them have a problem
---@field problem_count integer  of template and input
---@field problems iot.Problem[]  the first of them

---What is wrong with a template or an input.
---@class iot.Problem
---@field where "template"|"input"
---@field line integer?  of the input, from 1
---@field code string  one of `iot.provisioning.problems`.codes
---@field resource string?  the logical name of the template's resource
---@field parameter string?
---@field message string  one line that can be shown alone

---The same on the default client, which is made on first use from the environment.
---@class iot
local iot = {}

---@param params { taskId: string }
---@param options iot.CallOptions?
---@return iot.Task? task
---@return string? message
---@return iot.Error? detail
function iot.describe_thing_registration_task(params, options) end

---@param params { templateBody: string, inputFileBucket: string, inputFileKey: string, roleArn: string }
---@param options iot.CallOptions?
---@return { taskId: string }? started
---@return string? message
---@return iot.Error? detail
function iot.start_thing_registration_task(params, options) end

---@param params { taskId: string }
---@param options iot.CallOptions?
---@return table? stopped
---@return string? message
---@return iot.Error? detail
function iot.stop_thing_registration_task(params, options) end

---@param params { status: iot.TaskStatus?, maxResults: integer?, nextToken: string? }
---@param options iot.CallOptions?
---@return { taskIds: string[]?, nextToken: string? }? page
---@return string? message
---@return iot.Error? detail
function iot.list_thing_registration_tasks(params, options) end

---@param params { taskId: string, reportType: iot.ReportType, maxResults: integer?, nextToken: string? }
---@param options iot.CallOptions?
---@return { resourceLinks: string[]?, reportType: iot.ReportType?, nextToken: string? }? page
---@return string? message
---@return iot.Error? detail
function iot.list_thing_registration_task_reports(params, options) end

---@param params { templateBody: string, parameters: table<string, string>? }
---@param options iot.CallOptions?
---@return { certificatePem: string?, resourceArns: table<string, string>? }? registered
---@return string? message
---@return iot.Error? detail
function iot.register_thing(params, options) end

---Raises the detail, too, when there is no region.
---@param params { status: iot.TaskStatus?, maxResults: integer?, nextToken: string? }?
---@param options iot.CallOptions?
---@return fun(): string?
function iot.thing_registration_tasks(params, options) end

---Raises the detail, too, when there is no region.
---@param params { taskId: string, reportType: iot.ReportType, maxResults: integer?, nextToken: string? }
---@param options iot.CallOptions?
---@return fun(): string?
function iot.thing_registration_task_report_links(params, options) end

---A request to sign.
---@class iot.SignRequest
---@field method string
---@field url string  http or https; path and query as they will be sent
---@field headers string[][]|table<string, string>|nil  { name, value } pairs, or a map
---@field body string?

---@class iot.SignOptions
---@field credentials iot.Credentials
---@field region string
---@field service string  the signing name: "iot", "sts", ...
---@field time number?  seconds since the epoch; now
---@field normalize_path boolean?  true; false for S3
---@field double_encode_path boolean?  true; false for S3
---@field sign_body boolean?  add x-amz-content-sha256; false
---@field omit_session_token boolean?  send the token unsigned; false

---@class iot.PresignOptions: iot.SignOptions
---@field expires_in integer  seconds, 1 to 604800

---@class iot.Signed
---@field headers string[][]  what to send: the given ones, and those added
---@field url string
---@field canonical_request string
---@field string_to_sign string
---@field signature string  64 hexadecimal digits
