-- Requests with tokens in turn from a given one on, the same body or form again and again, or refresh tokens that each answer
-- replaces; a line of JSON at the end.
local requests, turn = {}, 0
-- Refresh tokens that nobody is using: an answer's goes to the end, a request takes the first.
local chains, first, last = {}, 1, 0
local headers

local function put(token)
  last = last + 1
  chains[last] = token
end

local function refresh_with(token)
  return wrk.format("POST", nil, headers, "grant_type=refresh_token&refresh_token=" .. token)
end

function init(words)
  local kind, path = words[1], words[2]
  headers = { ["Authorization"] = words[3], ["Content-Type"] = "application/x-www-form-urlencoded" }
  if kind == "tokens" then
    turn = tonumber(words[3] or 0)
    for token in io.lines(path) do
      local bearer = { ["Authorization"] = "Bearer " .. token, ["Accept"] = "application/fhir+json" }
      requests[#requests + 1] = wrk.format("GET", nil, bearer)
    end
  elseif kind == "body" then
    local body = io.open(words[3]):read("*a")
    for token in io.lines(path) do
      local fhir = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/fhir+json" }
      requests[#requests + 1] = wrk.format("POST", nil, fhir, body)
    end
  elseif kind == "form" then
    requests[1] = wrk.format("POST", nil, headers, io.open(path):read("*a"))
  else
    for token in io.lines(path) do
      put(token)
    end
    -- Only here: wrk takes longer where answers are looked at.
    function response(status, _, body)
      local token = status == 200 and body:match('"refresh_token":"([^"]+)"')
      if token then put(token) end
    end
    function request()
      local token = chains[first]
      if not token then return refresh_with("none-is-left") end
      chains[first], first = nil, first + 1
      return refresh_with(token)
    end
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%f,"bad":%d,"broken":%d,"p50_ms":%f,"p99_ms":%f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
