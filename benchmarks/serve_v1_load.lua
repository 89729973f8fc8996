-- Programs that read one ticker's quarters after another, for wrk.
local tickers = {}
for ticker in io.lines(os.getenv("LOAD_TICKERS")) do
  tickers[#tickers + 1] = ticker
end
local at = 0

function request()
  at = at % #tickers + 1
  local path = "/vX/reference/financials?timeframe=quarterly&limit=100&ticker=" .. tickers[at]
  return wrk.format("GET", path, {
    ["Authorization"] = "Bearer " .. os.getenv("LOAD_KEY"),
    ["Accept-Encoding"] = "gzip",
  })
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "failed": %d, "median": %f, "p95": %f}\n',
    summary.requests, summary.duration / 1e6, failed,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3
  ))
end
