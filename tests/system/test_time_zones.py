#!/usr/bin/python3
"""Days, weeks and months by the app's zone: one log, imported into apps that differ only in their zone, and every released
cell equals what Python's zoneinfo gives. Around changes of the clock: days of 0, 23 and 25 hours, a midnight that does not
exist, an hour that comes twice before, after and around midnight, and zones without changes."""
import collections
import csv
import datetime
import os
import random
import unittest
import zoneinfo

import throng

SEED = 20171015
MINUTE_MS = 60 * 1000
HOUR_MS = 60 * MINUTE_MS
TIMEOUT_MS = 30 * MINUTE_MS
USERS = 150
EVENTS = 1500
BINS = 18
RETENTION = {'days': 30, 'weeks': 20, 'months': 6}
MOST = {'day': 30, 'week': 20, 'month': 6}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)

# Each log: its first day, its last, the day through which it is sealed at the end, and of each zone the days whose
# length is not 24 hours, in hours.
LOGS = {
    'island': ('2011-12-12', '2012-01-08', '2012-02-05', {
        'UTC': {},
        'Asia/Kathmandu': {},
        'Pacific/Apia': {'2011-12-30': 0},
    }),
    'minute': ('2010-10-25', '2010-11-14', '2010-12-05', {
        'UTC': {},
        'America/St_Johns': {'2010-11-06': 25}, # at 0:01 of the 7th the clock goes back to 23:01
    }),
    'year': ('2017-10-02', '2018-03-25', '2018-05-01', {
        'UTC': {},
        'America/New_York': {'2017-11-05': 25, '2018-03-11': 23},
        'Asia/Kathmandu': {},
        'America/Sao_Paulo': {'2017-10-15': 23, '2018-02-17': 25},
        'America/Havana': {'2017-11-05': 25, '2018-03-11': 23},
    }),
}


def date_of(text):
    return datetime.date.fromisoformat(text)


def days_from(first, last):
    return [first + datetime.timedelta(days=i) for i in range((last - first).days + 1)]


class Zone:
    """The days of a zone from first to last. A day begins at the moment from which on the clock never again shows a date
    before it; found by looking at the clock every minute."""

    def __init__(self, name, first, last):
        self.name = name
        rules = zoneinfo.ZoneInfo(name)
        at = EPOCH + datetime.timedelta(days=(first - EPOCH.date()).days - 3)
        end = EPOCH + datetime.timedelta(days=(last - EPOCH.date()).days + 3)
        last_minute = {}
        while at < end:
            last_minute[at.astimezone(rules).date()] = int((at - EPOCH).total_seconds()) * 1000
            at += datetime.timedelta(minutes=1)
        # A day that the clock never shows begins where the next does, and ends there.
        self.start, begins = {}, 0
        for day in days_from(min(last_minute), max(last_minute)):
            self.start[day] = begins
            begins = max(begins, last_minute.get(day, 0) + MINUTE_MS)
        self.days = sorted(self.start)[1:]
        self.hours = {day: (self.start[after] - self.start[day]) / HOUR_MS for day, after in zip(self.days, self.days[1:])}

    def day(self, ms):
        """The day in which ms lies: the last that begins at or before it."""
        guess = (EPOCH + datetime.timedelta(milliseconds=ms)).date() + datetime.timedelta(days=2)
        while self.start.get(guess, ms + 1) > ms:
            guess -= datetime.timedelta(days=1)
        return guess

    def odd_days(self):
        return {str(day): hours for day, hours in self.hours.items() if hours != 24}


# --- the log ------------------------------------------------------------------------------------------------------------


def write_edges(rng, zone, rows):
    """Events at and around every midnight near a change of the clock, and sessions over it."""
    odd = [date_of(day) for day in zone.odd_days()] or [zone.days[len(zone.days) // 2]]
    near = [day + datetime.timedelta(days=i) for day in odd for i in range(-1, 4)]
    for day in sorted(set(near)):
        midnight = zone.start[day]
        for shift in (-HOUR_MS, -HOUR_MS - 1, -1, 0, 1, HOUR_MS - 1, HOUR_MS):
            rows.append((f'u{rng.randrange(USERS)}', midnight + shift))
        before, after = rng.randrange(2, 25), rng.randrange(2, 25)
        user = f'u{rng.randrange(USERS)}'
        rows += [(user, midnight - before * MINUTE_MS), (user, midnight + (30 - before) * MINUTE_MS)]
        user = f'u{rng.randrange(USERS)}'
        rows += [(user, midnight - after * MINUTE_MS), (user, midnight + (30 - after) * MINUTE_MS + 1)]


def write_changes(rng, zone, rows):
    """Events around every change of the clock, inside the hour that comes twice and beside the one that is missing."""
    rules = zoneinfo.ZoneInfo(zone.name)
    for day in zone.odd_days():
        first = zone.start[date_of(day)] // 1000 // 60 - 60
        clock = [datetime.datetime.fromtimestamp(minute * 60, rules).utcoffset() for minute in range(first, first + 27 * 60)]
        for at in range(1, len(clock)):
            if clock[at] == clock[at - 1]:
                continue
            change = (first + at) * MINUTE_MS
            for shift in (-61, -59, -31, -30, -1, 1, 30, 31, 59, 61):
                rows.append((f'u{rng.randrange(USERS)}', change + shift * MINUTE_MS))
            for shift in (-1, 0, 1):
                rows.append((f'u{rng.randrange(USERS)}', change + shift))
            # A session of hours over it, and users whose first day is the one before and whose second the one after.
            start = change - rng.randrange(3, 6) * HOUR_MS
            rows += [(f'long{change}', start + i * 29 * MINUTE_MS) for i in range(rng.randrange(14, 20))]
            for i in range(3):
                rows += [(f'twice{change}-{i}', change - (i + 1) * HOUR_MS), (f'twice{change}-{i}', change + (i + 1) * HOUR_MS)]


def make_log(zones, first, last):
    """[(user, ts in ms)], at least EVENTS of them, in no order."""
    rng = random.Random(SEED)
    rows = []
    for zone in zones:
        write_edges(rng, zone, rows)
        write_changes(rng, zone, rows)
    begin = throng.day_ms(str(first))
    end = throng.day_ms(str(last))
    centres = [throng.day_ms(day) for zone in zones for day in zone.odd_days()]
    while len(rows) < EVENTS:
        at = rng.randrange(begin, end)
        if rng.random() < 0.7:
            at = min(max(rng.choice(centres) + rng.randrange(-12, 13) * 24 * HOUR_MS + rng.randrange(24 * HOUR_MS), begin), end)
        user = f'u{rng.randrange(USERS)}'
        for _ in range(rng.choice((1, 1, 2, 3, 5))):
            rows.append((user, at))
            at += rng.choice((rng.randrange(TIMEOUT_MS), TIMEOUT_MS, TIMEOUT_MS + 1))
    rng.shuffle(rows)
    return rows


# --- what is expected ---------------------------------------------------------------------------------------------------


def period_of(interval, day):
    if interval == 'week':
        return day - datetime.timedelta(days=day.weekday())
    return day.replace(day=1) if interval == 'month' else day


def period_after(interval, period):
    if interval == 'month':
        return (period + datetime.timedelta(days=31)).replace(day=1)
    return period + datetime.timedelta(days=7 if interval == 'week' else 1)


def sessions_of(rows):
    """[(start, end, events)]: events of one user with gaps of at most the timeout."""
    of_user = collections.defaultdict(list)
    for user, ts in rows:
        of_user[user].append(ts)
    sessions = []
    for times in of_user.values():
        times.sort()
        begin = 0
        for i in range(1, len(times) + 1):
            if i == len(times) or times[i] - times[i - 1] > TIMEOUT_MS:
                sessions.append((times[begin], times[i - 1], i - begin))
                begin = i
    return sessions


def people_cells(cells, interval, active, first_day, through):
    """active: {day: users}. Periods that end after through have no cells."""
    users, periods = collections.defaultdict(set), []
    for day, ids in active.items():
        users[period_of(interval, day)] |= ids
    period = period_of(interval, first_day)
    while period_after(interval, period) <= through + datetime.timedelta(days=1):
        periods.append(period)
        period = period_after(interval, period)
    cohort_of = {}
    for period in sorted(users):
        for user in users[period]:
            cohort_of.setdefault(user, period)
    for i, period in enumerate(periods):
        new = {user for user in users[period] if cohort_of[user] == period}
        before = users[periods[i - 1]] if i > 0 else set()
        numbers = {'active_users': len(users[period]), 'new_users': len(new), 'returning_users': len(users[period] - new),
            'resurrected_users': len(users[period] - new - before)}
        for metric, value in numbers.items():
            cells[metric, interval][str(period), -1] = value
        for n in range(min(i, MOST[interval]) + 1):
            cohort = periods[i - n]
            cells['retention', interval][str(cohort), n] = sum(cohort_of[user] == cohort for user in users[period])
    return periods


def expect(rows, zone, through):
    """{(metric, interval): {(period, n): value}}"""
    cells = collections.defaultdict(dict)
    active, amounts = collections.defaultdict(set), collections.Counter()
    for user, ts in rows:
        day = zone.day(ts)
        active[day].add(user)
        amounts['events', day, -1] += 1
    first_day = min(active)
    for start, end, count in sessions_of(rows):
        day = zone.day(start)
        amounts['sessions', day, -1] += 1
        amounts['single_event_sessions', day, -1] += count == 1
        amounts['session_duration_ms', day, -1] += end - start
        amounts['session_events', day, -1] += count
        amounts['session_durations', day, min(((end - start) // 1000).bit_length(), BINS - 1)] += 1
    names = [(metric, -1) for metric in ('events', 'sessions', 'single_event_sessions', 'session_duration_ms', 'session_events')]
    names += [('session_durations', n) for n in range(BINS)]
    for interval in ('day', 'week', 'month'):
        for period in people_cells(cells, interval, active, first_day, through):
            days = days_from(period, period_after(interval, period) - datetime.timedelta(days=1))
            for metric, n in names:
                cells[metric, interval][str(period), n] = sum(amounts[metric, day, n] for day in days)
    for day in days_from(first_day, through):
        for width in (7, 28, 30):
            window = days_from(day - datetime.timedelta(days=width - 1), day)
            cells['active_users', f'rolling_{width}'][str(day), -1] = len(set().union(*(active.get(d, ()) for d in window)))
    return cells


def differences(expected, found):
    """[(metric, interval, period, n, expected, found)]: of two sets of cells, those that are not the same."""
    wrong = []
    for family in sorted(set(expected) | set(found)):
        left, right = expected.get(family, {}), found.get(family, {})
        wrong += [(*family, *key, left.get(key), right.get(key)) for key in sorted(set(left) | set(right))
            if left.get(key) != right.get(key) or key not in left or key not in right]
    return wrong


def metrics_apart(expected, found):
    """The metrics of which a cell is on both sides, with another value."""
    return {metric for metric, _, _, _, left, right in differences(expected, found) if None not in (left, right)}


# --- the test -----------------------------------------------------------------------------------------------------------


class TimeZones(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.installation = throng.Throng()
        cls.installation.__enter__()
        cls.addClassCleanup(cls.installation.__exit__, None, None, None)
        cls.zones, cls.rows, cls.expected, cls.found = {}, {}, {}, {}
        for log in LOGS:
            cls.play(log)

    @classmethod
    def app_of(cls, log, zone):
        return f'{log}_{zone.lower().replace("/", "_")}'

    @classmethod
    def play(cls, log):
        first, last, through, of_zone = LOGS[log]
        zones = [Zone(name, date_of(first), date_of(through)) for name in of_zone]
        rows = cls.rows[log] = make_log(zones, date_of(first), date_of(last))
        path = os.path.join(cls.installation.folder, f'{log}.csv')
        with open(path, 'w', encoding='utf-8', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(('user', 'ts', 'name'))
            writer.writerows((user, ts, 'view') for user, ts in rows)
        for zone in zones:
            app = cls.app_of(log, zone.name)
            cls.installation.add_app(app, time_zone=zone.name, retention=RETENTION, horizon_days=800)
            cls.installation.cli('import', '--app', app, '--format', 'csv', '--map', 'user=user,ts=ts,name=name', path)
            cls.zones[log, zone.name] = zone
            cls.expected[log, zone.name] = expect(rows, zone, date_of(through))
        cls.seal(log, zones, through)
        for zone in zones:
            cls.found[log, zone.name] = cls.released(cls.app_of(log, zone.name))

    @classmethod
    def seal(cls, log, zones, through):
        """In steps, a day at a time around changes of the clock: a session that goes on over a sealed midnight is not
        counted again. Ordered as `throng seal` does it, which would make the apps live, and close every day since."""
        odd = {date_of(day) for zone in zones for day in zone.odd_days()}
        steps = sorted({str(day + datetime.timedelta(days=i)) for day in odd for i in (-1, 0, 1)} | {through})
        for step in steps:
            for zone in zones:
                cls.installation.sql("""INSERT INTO config.seal_request (app, through, leaf)
                    SELECT app, %s, leaf FROM config.app WHERE name = %s""", (step, cls.app_of(log, zone.name)))
            for zone in zones:
                cls.installation.wait_released(cls.app_of(log, zone.name), step)

    @classmethod
    def released(cls, app):
        found = collections.defaultdict(dict)
        for metric, interval, period, n, value in cls.installation.sql("""SELECT metric, interval, period::text, n, value
                FROM release.value v JOIN config.app a USING (app) WHERE a.name = %s""", (app,), role='throng_read'):
            found[metric, interval][period, n] = value
        return found

    def test_days_of_the_clock(self):
        """Where PostgreSQL begins the days is where the clock does; and the log has the days that this test is about."""
        for (log, name), zone in self.zones.items():
            self.assertEqual(zone.odd_days(), LOGS[log][3][name], name)
            rows = self.installation.sql('SELECT day, start_ms FROM config.day_starts(%s, %s, %s)',
                (name, zone.days[0], zone.days[-1]))
            self.assertEqual(dict(rows), {day: zone.start[day] for day in zone.days}, name)

    def test_the_log(self):
        for log, rows in self.rows.items():
            self.assertGreaterEqual(len(rows), EVENTS)
            self.assertLess(max(end - start for start, end, _ in sessions_of(rows)), throng.DAY_MS)
            for name in LOGS[log][3]:
                zone = self.zones[log, name]
                over = [start for start, end, _ in sessions_of(rows) if zone.day(start) != zone.day(end)]
                self.assertGreater(len(over), 5, f'sessions over a midnight of {name}')

    def test_every_cell(self):
        total = apps = 0
        for (log, name), expected in self.expected.items():
            with self.subTest(log=log, zone=name):
                found = {family: self.found[log, name][family] for family in expected}
                wrong = differences(expected, found)
                cells = sum(map(len, expected.values()))
                self.assertEqual(len(wrong), 0, f'of {cells} cells differ, (expected, released) in the end: {wrong[:8]}')
                self.assertEqual(self.installation.tally(self.app_of(log, name)), (len(self.rows[log]), 0, 0))
                total += cells
                apps += 1
        print(f'{total} cells of {apps} of {len(self.expected)} apps are equal', flush=True)

    def test_days_of_0_23_and_25_hours(self):
        seen = set()
        for (log, name), found in self.found.items():
            for day, hours in LOGS[log][3][name].items():
                seen.add(hours)
                for metric in ('active_users', 'new_users', 'events', 'sessions', 'session_duration_ms'):
                    value = found[metric, 'day'][day, -1]
                    self.assertEqual(value > 0, hours > 0, f'{name} {day} {metric}: {value}')
        self.assertEqual(seen, {0, 23, 25})
        apia = self.found['island', 'Pacific/Apia']
        on_the_day = {value for (metric, interval), cells in apia.items() for (period, _), value in cells.items()
            if interval == 'day' and period == '2011-12-30'}
        self.assertEqual(on_the_day, {0}, 'a day without hours has nothing in it')
        # Who was there on the 29th for the first time and came a few hours later came on the second day after.
        self.assertEqual(apia['retention', 'day']['2011-12-29', 1], 0)
        self.assertGreaterEqual(apia['retention', 'day']['2011-12-29', 2], 3)

    def test_a_wrong_zone_would_show(self):
        """The comparison can fail: with another zone, with the zone's usual offset alone, with sessions cut at midnight."""
        for log, (*_, of_zone) in LOGS.items():
            for name in of_zone:
                for other in of_zone:
                    # Havana's clock changes at midnight and New York's at two: their days begin together all the same.
                    if self.zones[log, other].start == self.zones[log, name].start:
                        continue
                    self.assertLessEqual({'active_users', 'new_users', 'returning_users', 'retention', 'events', 'sessions',
                        'session_duration_ms'}, metrics_apart(self.expected[log, name], self.found[log, other]),
                        f'{name} expected, {other} found')
        rows, through = self.rows['year'], date_of(LOGS['year'][2])
        zone = self.zones['year', 'America/Sao_Paulo']
        fixed = Zone('Etc/GMT+3', zone.days[0], through)
        found = self.found['year', zone.name]
        self.assertLessEqual({'active_users', 'events', 'sessions'}, metrics_apart(expect(rows, fixed, through), found))
        cut = [(f'{user} {zone.day(ts)}', ts) for user, ts in rows]
        self.assertLessEqual({'sessions', 'session_duration_ms'}, metrics_apart(expect(cut, zone, through), found))


if __name__ == '__main__':
    throng.main()
