-- wrk: the addresses of a file in turn, each thread from another place; at the end the percentiles as one line.
local paths, at = {}, 0
local started = 0
function setup(thread)
  started = started + 1
  thread:set("begin", started)
end
function init(args)
  for line in io.lines(args[1]) do paths[#paths + 1] = line end
  at = begin * 37
end
function request()
  at = at % #paths + 1
  return wrk.format("GET", paths[at])
end
function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format("RESULT %d %d %d %.3f %.3f %.3f", summary.requests, summary.duration,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
