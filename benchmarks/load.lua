-- For wrk: GETs one of the paths in the file PATHS at random, and writes the figures as JSON to the file FIGURES.
local paths = {}
for line in io.lines(os.getenv("PATHS")) do paths[#paths + 1] = line end
math.randomseed(7)

request = function()
  return wrk.format("GET", paths[math.random(#paths)])
end

done = function(summary, latency, requests)
  local out = io.open(os.getenv("FIGURES"), "w")
  out:write(string.format(
    '{"requests": %d, "seconds": %.3f, "bytes": %d, "failed": %d, "p50_ms": %.3f, "p99_ms": %.3f}',
    summary.requests, summary.duration / 1e6, summary.bytes,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
  out:close()
end
