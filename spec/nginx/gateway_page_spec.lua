-- The example gateway's page, in headless Chromium against the simulator.
local browsers = require "spec.support.browser"
local gateways = require "spec.support.gateway"
local json = require "spec.support.json"
local nginx_rig = require "spec.support.nginx"
local simulator = require "spec.support.simulator"

local function of_article(id, expression)
  return ([[
    const article = [...document.querySelectorAll("article")].find((a) => a.querySelector("h2").textContent === "%s");
    return article ? %s : null;]]):format(id, expression)
end

describe("the page of the example gateway", function()
  local missing = simulator.missing() or nginx_rig.missing() or browsers.missing()
  if missing then
    pending(missing) -- no page can be looked at without a browser, nor without nginx
    return
  end

  local sim, gateway, browser

  setup(function()
    sim = simulator.start { concurrent_tasks = 100 }
    gateway = gateways.start(sim)
    browser = browsers.start()
  end)
  teardown(function()
    browser:stop()
    gateway:stop()
    sim:stop()
  end)
  before_each(function()
    sim:forget()
    sim:clear()
  end)

  it("says that nothing runs", function()
    browser:open(gateway.url)
    browser:wait "return !document.getElementById('none').hidden"
  end)

  it("shows progress that moves, to its end", function()
    browser:open(gateway.url) -- first: who has ended before the page looks is not shown
    local id = sim:seed { plan = { things = 1000, failures = 10, seconds = 3 } }
    local value = of_article(id, "article.querySelector('progress').value")
    local first = browser:wait(value)
    local second = browser:wait(of_article(id, ("article.querySelector('progress').value > %d"):format(first)))
    assert.is_true(second)
    browser:wait(of_article(id, "article.querySelector('.state').textContent === 'Completed'"))
    assert.equal(100, browser:run(value))
    assert.same({ "990", "10", "100 %" }, browser:run(of_article(id,
      "[...article.querySelectorAll('dd')].slice(0, 3).map((d) => d.textContent)")))
    assert.equal("Progress of " .. id, browser:run(of_article(id,
      "article.querySelector('progress').getAttribute('aria-label')")))
  end)

  it("shows the failed records when it is asked to, and hostile text as text", function()
    local hostile = "<img src=x onerror=document.title='taken'><b>bold</b>"
    local id = sim:seed { status = "InProgress", percentageProgress = 50, successCount = 7, failureCount = 120 }
    local other = sim:seed { status = "InProgress", message = hostile, failureCount = 1 }
    browser:open(gateway.url)
    assert.equal(hostile, browser:wait(of_article(other, "article.querySelector('.message').textContent")))
    browser:run(of_article(id, "article.querySelector('summary').click()"))
    assert.equal(100, browser:wait(of_article(id, "article.querySelectorAll('tbody tr').length || null")))
    assert.equal("The first 100 of 120.", browser:run(of_article(id, "article.querySelector('.note').textContent")))
    local row = browser:run(of_article(id, "[...article.querySelector('tbody tr').cells].map((c) => c.textContent)"))
    assert.matches("^%d+$", row[1])
    assert.matches("%a", row[2])
    sim:fault { kind = "reply", status = 200, operation = "report",
      body = json.encode { lineNumber = 1, input = hostile, errors = { hostile } } .. "\n" }
    browser:run(of_article(other, "article.querySelector('summary').click()"))
    assert.equal(hostile .. hostile, browser:wait(of_article(other, "article.querySelector('td + td')?.textContent")))
    assert.equal("Bulk registrations", browser:run "return document.title")
    assert.equal(0, browser:run "return document.querySelectorAll('article img, article b').length")
  end)

  it("keeps what it knew of a task that cannot be described, and forgets one that is gone", function()
    local id = sim:seed { status = "InProgress", percentageProgress = 50, successCount = 7, failureCount = 3 }
    browser:open(gateway.url)
    browser:wait(of_article(id, "article.querySelector('progress').value === 50"))
    sim:fault { kind = "reply", status = 403, headers = { ["x-amzn-errortype"] = "AccessDeniedException" },
      body = '{"message":"the reason"}', times = 1, operation = "DescribeThingRegistrationTask" }
    browser:wait(of_article(id, "article.querySelector('.state').textContent === 'AccessDeniedException'"))
    assert.equal(50, browser:run(of_article(id, "article.querySelector('progress').value")))
    sim:forget()
    browser:wait "return !document.querySelector('article') && !document.getElementById('none').hidden"
    assert.is_true(browser:run "return document.getElementById('problem').hidden")
  end)

  it("shows an error of the service, and that it is over", function()
    sim:seed { status = "InProgress" }
    sim:fault { kind = "reply", status = 401, headers = { ["x-amzn-errortype"] = "UnauthorizedException" },
      body = '{"message":"the reason"}', times = 1, operation = "ListThingRegistrationTasks" }
    browser:open(gateway.url)
    local text = browser:wait "const p = document.getElementById('problem'); return p.hidden ? null : p.textContent"
    assert.matches("UnauthorizedException: .*the reason", text)
    browser:wait "return document.getElementById('problem').hidden && document.querySelector('article')"
  end)

  it("shows the tasks of another status", function()
    local id = sim:seed { plan = { things = 20, failures = 2, seconds = 0 } }
    browser:open(gateway.url)
    browser:run [[
      const select = document.getElementById("status");
      select.value = "Completed";
      select.dispatchEvent(new Event("change"));]]
    assert.equal("2", browser:wait(of_article(id, "article.querySelector('.failed dd').textContent")))
  end)

  it("leaves nothing in the log of nginx", function()
    assert.equal("", gateway:log())
  end)
end)
