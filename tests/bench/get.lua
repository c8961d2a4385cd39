-- wrk's readers: each asks one after the other of a list of paths, with an API key. Arguments: key, file with the paths.
local threads = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init(arguments)
    paths, at = {}, number * 7
    for path in io.lines(arguments[2]) do
        paths[#paths + 1] = path
    end
    wrk.headers["Authorization"] = "Bearer " .. arguments[1]
end

function request()
    at = at + 1
    return wrk.format("GET", paths[at % #paths + 1])
end

function done(summary, latency)
    io.write(string.format(
        '{"requests":%d,"refused":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,"bytes":%d}\n',
        summary.requests, summary.errors.status,
        summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3, summary.bytes))
end
