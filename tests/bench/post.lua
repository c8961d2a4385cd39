-- wrk's load: each request is a POST of events of users drawn from a crowd, under a source of its own, so that nothing in
-- it is a repetition. Arguments: key, events a request, users, minutes that the events spread over, seed, seconds, and how
-- many milliseconds a connection waits before each request. After those seconds no request is begun, and wrk runs on until all are answered: what it counts is what was acknowledged.
-- What is told at the end is one line of JSON.
-- Making bodies takes time that the servers on the same machine do not get: the events are made beforehand, and only
-- their source is new in each request.
local POOL_EVENTS = 100000
local PAGES = {"/", "/story", "/story/7", "/story/19", "/library", "/settings"}
local DEVICES = {"desktop", "mobile", "tablet"}

local ffi = require("ffi")
ffi.cdef "struct bench_time { long s, us; }; int gettimeofday(struct bench_time *now, void *zone);"
local time = ffi.new("struct bench_time")

local threads = 0

local function now_s()
    ffi.C.gettimeofday(time, nil)
    return tonumber(time.s) + tonumber(time.us) / 1e6
end

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

local function event(crowd, spread_ms, now_ms)
    return string.format(
        '{"name":"page_view","ts":%.0f,"user":"user-%d","engaged_ms":%d,"props":{"page":"%s","device":"%s"}}',
        now_ms - math.random(0, spread_ms), math.random(0, crowd - 1), math.random(0, 60000), PAGES[math.random(#PAGES)],
        DEVICES[math.random(#DEVICES)])
end

function init(arguments)
    local key, events, crowd = arguments[1], tonumber(arguments[2]), tonumber(arguments[3])
    local spread_ms, seed = tonumber(arguments[4]) * 60000, tonumber(arguments[5])
    math.randomseed(seed * 1000 + number)
    length_s = tonumber(arguments[6])
    pause_ms = tonumber(arguments[7])
    local now_ms = os.time() * 1000
    pool, at, prefix = {}, 0, string.format('{"source":"bench-%d-%d-', seed, number)
    for i = 1, math.ceil(POOL_EVENTS / events) do
        local list = {}
        for j = 1, events do
            list[j] = event(crowd, spread_ms, now_ms)
        end
        pool[i] = '","events":[' .. table.concat(list, ",") .. "]}"
    end
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.headers["Authorization"] = "Bearer " .. key
end

-- Asked before each request; milliseconds to wait.
function delay()
    end_s = end_s or now_s() + length_s
    return now_s() < end_s and pause_ms or 1000000
end

function request()
    at = at + 1
    return wrk.format(nil, nil, nil, prefix .. string.format("%010d", at) .. pool[at % #pool + 1])
end

function done(summary, latency)
    io.write(string.format(
        '{"requests":%d,"refused":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f}\n',
        summary.requests, summary.errors.status,
        summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
