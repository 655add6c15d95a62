-- Requests with tokens in turn, or the same request again and again; a line of JSON at the end.
local requests, turn = {}, 0

function init(words)
  if words[1] == "tokens" then
    for token in io.lines(words[2]) do
      requests[#requests + 1] = wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. token, ["Accept"] = "application/fhir+json" })
    end
  else
    local body = io.open(words[2]):read("*a")
    requests[1] = wrk.format("POST", nil, { ["Authorization"] = words[3], ["Content-Type"] = "application/x-www-form-urlencoded" }, body)
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
