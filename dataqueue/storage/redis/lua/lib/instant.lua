-- The instant of this call in microseconds: ARGV[1], else the server's clock.
local function instant_of_call()
    if ARGV[1] ~= '' then
        return tonumber(ARGV[1])
    end
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local now = instant_of_call()

-- A whole number as text: Lua's own way turns great ones into powers of ten.
local function whole(number)
    return string.format('%d', number)
end

local now_text = whole(now)

-- An instant as it goes over the wire (RFC 3339, UTC). Days to a date: howardhinnant.github.io/date_algorithms.html,
-- civil_from_days.
local function wire(instant)
    local micros = instant % 1000000
    local seconds = (instant - micros) / 1000000
    local of_day = seconds % 86400
    local z = (seconds - of_day) / 86400 + 719468
    local era = math.floor(z / 146097)
    local doe = z - era * 146097
    local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
    local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
    local mp = math.floor((5 * doy + 2) / 153)
    local day = doy - math.floor((153 * mp + 2) / 5) + 1
    local month = mp < 10 and mp + 3 or mp - 9
    local year = yoe + era * 400 + (month <= 2 and 1 or 0)
    return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day, math.floor(of_day / 3600),
        math.floor(of_day / 60) % 60, of_day % 60, micros)
end
