#!/usr/bin/python3
"""What one person's month (day) can change in everything ever released is at most what families.def declares, family by family,
and some month does change just that much: over all 28 shapes of a month, in patterns, by climbing and by chance.

Why no person can change more (squared distance L², in clamps). A month m touches 6 weeks at most: 4 at most lie within it, 2 at
most have days of it and others.

active       a cell for each of 31 days, 6 weeks, 1 month, from 1 to 0: 38. Day: 3.
new          only the first period can be another: from m's to a later one, in each of 3 intervals two cells: 6. If m had kept a
             name alive, who comes back after it is new again, once: 3 cells; absences only grow, and only the one around m. Day: 6.
retention    the cells of one cohort (6 weeks + 5 months = 11), and of the cohort that they are in instead: 22. A name that m
             kept alive: 11 cells of its cohort may go, 11 of that of the return come. Day: 22.
last_active  months only. A cell from 1 to 0, another from 0 to 1: 2. If the name dies without m: one from 1 to 0, the earlier one
             from 0 to 1, and one of the cohort of the return: 3. Day: 3.
dimensions   each of three: 4 whole weeks and the month from 1 to 0; at both ends of m a week that has other days, in which
             another class becomes the smallest, 2 each: 9, of three 27. Day: week and month change class: 4, of three 12.
sessions     two numbers; each of 6 weeks at most the clamp: 12. So only because sessions are cut where a month begins: what
             happened in m then ends and begins no session outside. A day moves, through the longest session that there is, where
             all later ones of somebody who never rests begin, to the month's end: 12 too.
durations    4 whole weeks: 4. The week in which m begins: what was before m in it is first anyway, so 1, if nothing was. The week
             in which m ends: another session is the first, 2. So 7. Day: in each of 6 weeks, 2: 12.
goals        4 cells in a person's week; a whole week 4, at both ends 4 go and 4 others come: 16 + 2 × 8 = 32. Day: in each of 6
             weeks, 8: 48.
features     as goals: 32. Day: 8.
funnels      4 whole weeks, the anchor goes: 4. Others 2 each (another step): weeks with days of m and others, and weeks before
             whose anchors' windows, 7 × 24 h, reach into m. If m begins within a week: that and the one before. If on a Monday:
             the one before, and one more if the clock was put forward in that. So two before, one after: 4 + 3 × 2 = 10.
             Day: its week, and one or, on such a Monday, two before: 6.
outcomes     people and a sum, each from 1 to 0 in one tier: 2. Again because of the cut: a session over the border would be one
             more of the next month, and its tier another: 6. Day: another tier, 2 + 2 = 4.
"""
import datetime
import fractions
import itertools
import os
import random
import sys
import unittest

import person
from person import DAY, HOUR, LONGEST, MINUTE, TIMEOUT, event

LONG = os.environ.get('THRONG_LONG') == '1'
SEED = 20261121
FAMILIES = ('active', 'new', 'retention', 'last_active', 'dimensions', 'sessions', 'durations', 'goals', 'features', 'funnels',
    'outcomes')
FAR = ('new', 'retention', 'last_active')  # of which years matter
#            the true maxima by the arguments above
MONTH = dict(active=38, new=6, retention=22, last_active=3, dimensions=27, sessions=12, durations=7, goals=32, features=32,
    funnels=10, outcomes=2)
DAY_MOST = dict(active=3, new=6, retention=22, last_active=3, dimensions=12, sessions=12, durations=12, goals=48, features=8,
    funnels=6, outcomes=4)
#            declared larger than it is, on the safe side
GENEROUS = {'last_active', 'durations'}
#            bounds by argument that no person was found to reach
BOUNDED = {('day', 'sessions')}
SIX_WEEKS = 2027 * 12 + 7  # August 2027: 31 days from a Sunday on
TIERS_FROM = person.TIERS[1]
ZONES = ('UTC', 'America/New_York', 'Pacific/Auckland', 'Asia/Kathmandu')


def month_number(year, month):
    return year * 12 + month - 1


def shapes():
    """A month of each length and first weekday."""
    found = {}
    for year in range(2025, 2031):
        for month in range(12):
            first = datetime.date(year, month + 1, 1)
            length = (datetime.date(year + month // 11, (month + 1) % 12 + 1, 1) - first).days
            found.setdefault((length, first.weekday()), month_number(year, month + 1))
    return sorted(found.values())


# --- a person made of patterns --------------------------------------------------------------------------------------------


def few(at):
    """One session, of one moment; everything late by position."""
    return [event(at + 12 * HOUR, classes=(1, 1, 1), features=(4, 5, 6, 7, 8), goals=(4, 5, 6, 7, 8), steps=(0,), value=0)]


def many(at):
    """Seven engaged sessions; everything early by position."""
    return [event(at + h * HOUR + m * MINUTE, engaged=True, classes=(0, 0, 0), features=range(6), goals=range(6), steps=(0, 1),
        value=1000) for h in range(8, 15) for m in (0, 20)]


def nothing(at):
    return []


def pattern(calendar, blocks):
    """[(first day, last day, step in days, what)] as events."""
    return [e for first, last, step, what in blocks for day in range(first, last + 1, step) for e in what(calendar.start(day))]


def patterns(calendar, month):
    """(families, events)"""
    days = calendar.days_of_month(month)
    first, last = days[0], days[-1]
    near = [f for f in FAMILIES if f not in FAR]
    for before, inside, after in itertools.product((nothing, few, many), (few, many), (nothing, few, many)):
        yield near, pattern(calendar, [(first - 7, first - 1, 1, before), (first, last, 1, inside), (last + 1, last + 7, 1, after)])
    for past, before, after, future in itertools.product((nothing, few), repeat=4):
        yield FAR, pattern(calendar, [(first - 390, first - 15, 7, past), (first - 14, first - 1, 3, before), (first, last, 1, few),
            (last + 1, last + 14, 3, after), (last + 15, last + 400, 7, future)])


def restless(calendar, day, mondays, last):
    """Somebody with a session for each Monday, which goes on from this day until then without a rest and began so that one that
    is cut for its length starts there with the goals that come first; and with other sessions each day."""
    events = [event(calendar.start(day), session='day')]
    for monday in mondays:
        end = calendar.start(monday)
        at = end - (end - calendar.start(day)) // (LONGEST + TIMEOUT) * (LONGEST + TIMEOUT)
        while at <= end:
            events.append(event(at, session=str(monday), goals=range(4) if at == end else ()))
            at += TIMEOUT
    for other in range(day + 1, last + 1):
        at = calendar.start(other) + 20 * HOUR
        events += [event(at, session='other', goals=range(4, 8)), event(at + 20 * MINUTE, session='other')]
    return person.counted(events)


# --- a person by chance -----------------------------------------------------------------------------------------------------


def random_event(rng, calendar, day):
    at = calendar.start(day) + rng.choice((0, 1, 10 * MINUTE, 12 * HOUR, 23 * HOUR + 50 * MINUTE, rng.randrange(22 * HOUR)))
    pick = lambda most: rng.sample(range(9), rng.randrange(most + 1))
    received = at + rng.choice((0, 0, 0, MINUTE, 5 * HOUR, 7 * HOUR, 3 * DAY))
    return event(at, received=received, id=rng.choice((None, None, rng.randrange(50))), session=rng.choice(('', '', 'a', 'b')),
        engaged=rng.random() < 0.5, goals=pick(6), features=pick(6), classes=[rng.choice((None, 0, 1, 2, 3)) for _ in range(3)],
        steps=pick(3), value=rng.choice((None, 0, 1000, rng.randrange(1001))))


def random_day(rng, days):
    first, last = days[0], days[-1]
    return rng.choice((first - 1, first, last, last + 1, rng.randint(first, last), rng.randint(first - 15, first),
        rng.randint(last, last + 15), rng.randint(first - 400, last + 400)))


def run(rng, calendar, days):
    """Somebody who does not rest for days: an event at most each 30 minutes."""
    at = calendar.start(random_day(rng, days)) + rng.randrange(DAY)
    template = random_event(rng, calendar, days[0])
    found = []
    for _ in range(rng.choice((20, 60, 200))):
        found.append(template._replace(at=at, received=at, id=None, engaged=rng.random() < 0.3))
        at += rng.choice((30 * MINUTE, 30 * MINUTE, 29 * MINUTE))
    return found


def random_life(rng, calendar, days):
    events = [random_event(rng, calendar, random_day(rng, days)) for _ in range(rng.choice((2, 6, 20, 60)))]
    if rng.random() < 0.3:
        events += run(rng, calendar, days)
    if rng.random() < 0.3:
        habit = rng.choice((few, many))
        events += pattern(calendar, [(days[0] - 300, days[0] + 420, rng.choice((1, 7, 30)), habit)])
    return events


def change(rng, calendar, days, events):
    """A neighbour in the search: an event or a habit more, less or other."""
    events = list(events)
    kind = rng.randrange(6)
    if kind <= 1 or not events:
        events += [random_event(rng, calendar, random_day(rng, days)) for _ in range(rng.choice((1, 1, 4)))]
    elif kind == 2:
        del events[rng.randrange(len(events))]
    elif kind == 3:
        day = calendar.day(rng.choice(events).at)
        events = [e for e in events if calendar.day(e.at) != day]
    elif kind == 4:
        at = rng.randrange(len(events))
        moved = random_event(rng, calendar, calendar.day(events[at].at))
        events[at] = moved._replace(received=moved.at, id=None)
    else:
        like, step, times = rng.choice(events), rng.choice((1, 7)), rng.choice((2, 7, 60))
        for i in range(1, times):
            at = like.at + i * step * DAY
            if at < calendar.start(days[-1] + 430):
                events.append(like._replace(at=at, received=at, id=None))
    return events if len(events) < 900 else events[:900]


# --- the tests ----------------------------------------------------------------------------------------------------------------


class Sensitivity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.declared = person.declared()
        cls.clamps = {name: int(cls.declared[name]['dp_clamp']) for name in ('sessions', 'features', 'goals')}
        cls.calendars = {zone: person.Calendar(zone) for zone in ZONES}
        cls.calendar = cls.calendars['UTC']
        cls.model = person.Model(cls.calendar, cls.clamps)
        cls.found = {unit: dict.fromkeys(FAMILIES, fractions.Fraction(0)) for unit in ('month', 'day')}

    def meet(self, family, events, unit, of, model=None):
        """A found distance: never above the maximum; the largest are remembered."""
        distance = fractions.Fraction(*(model or self.model).distance(family, events, unit, of))
        most = MONTH if unit == 'month' else DAY_MOST
        self.assertLessEqual(distance, most[family], f'{family}: {unit} {of} of {len(events)} events')
        self.found[unit][family] = max(self.found[unit][family], distance)
        return distance

    def test_1_patterns(self):
        """All patterns, all shapes of a month."""
        for month in shapes():
            for families, raw in patterns(self.calendar, month):
                events = person.counted(raw)
                for family in families:
                    self.meet(family, events, 'month', month)

    def test_2_days(self):
        for month in shapes()[::1 if LONG else 9]:
            days = self.calendar.days_of_month(month)
            for day, before, after, gap in itertools.product((days[0], days[6], days[-1]), (nothing, few, many), (nothing, few),
                    (1, 8)):
                events = person.counted(pattern(self.calendar, [(day - 30, day - gap, 1, before), (day, day, 1, many),
                    (day + gap, day + 31, 1, after), (day + 32, day + 420, 7, after)]))
                for family in FAMILIES:
                    self.meet(family, events, 'day', day)

    def test_3_chance(self):
        rng = random.Random(SEED)
        for _ in range(6000 if LONG else 250):
            calendar = self.calendars[rng.choice(ZONES)]
            model = person.Model(calendar, self.clamps)
            month = rng.choice(shapes())
            days = calendar.days_of_month(month)
            events = person.counted(random_life(rng, calendar, days))
            for family in FAMILIES:
                self.meet(family, events, 'month', month, model)
                self.meet(family, events, 'day', random_day(rng, days), model)

    def climb(self, rng, family, unit, of, steps):
        days = self.calendar.days_of_month(of) if unit == 'month' else range(of, of + 1)
        raw, best = [], fractions.Fraction(-1)
        for _ in range(steps):
            tried = change(rng, self.calendar, days, raw)
            distance = self.meet(family, person.counted(tried), unit, of)
            if distance >= best:
                raw, best = tried, distance
            if best == (MONTH if unit == 'month' else DAY_MOST)[family]:
                break
        return best

    def test_4_climbing(self):
        """From nothing, by small changes, in a month that touches six weeks: never more."""
        rng = random.Random(SEED)
        for family in FAMILIES:
            tops = [self.climb(rng, family, 'month', SIX_WEEKS, 4000 if LONG else 250) for _ in range(3 if LONG else 1)]
            print(f'climbing, {family}: {float(max(tops)):g} of {MONTH[family]}', flush=True)

    def test_5_name_kept_alive(self):
        """The month that links two quarters: without it the person is new again."""
        for month in [m for m in shapes() if m % 3 == 1]:
            days = self.calendar.days_of_month(month)
            events = person.counted(pattern(self.calendar, [(days[0] - 60, days[0] - 50, 1, few), (days[14], days[14], 1, few),
                (days[0] + 80, days[0] + 400, 1, few)]))
            for family in FAMILIES:
                self.meet(family, events, 'month', month)
                self.meet(family, events, 'day', days[14])

    def test_6_clock_put_forward(self):
        """A funnel's seven days are more than a week of 167 hours: two weeks before see a month (or day) that begins on a
        Monday."""
        calendar = self.calendars['Pacific/Auckland']
        model, month = person.Model(calendar, self.clamps), month_number(2029, 10)
        days = calendar.days_of_month(month)
        events = [event(calendar.start(day) - 15 * MINUTE, steps=(0,)) for day in range(days[0] - 14, days[-1] + 9)]
        events += [event(calendar.start(day) + 10 * MINUTE, steps=(1,)) for day in days]
        # In the first of the two weeks only its Sunday's last quarter of an hour is an anchor.
        events = [e for e in events if calendar.day(e.at) not in range(days[0] - 15, days[0] - 8)]
        self.assertEqual(self.meet('funnels', person.counted(events), 'month', month, model), 10)
        midnight = calendar.start(days[0])
        events = [event(calendar.start(days[0] - 7) - 15 * MINUTE, steps=(0,)), event(calendar.start(days[0] - 6), steps=(0,)),
            event(midnight + 5 * MINUTE, steps=(0,)), event(midnight + 10 * MINUTE, steps=(1,)), event(midnight + DAY, steps=(0,))]
        self.assertEqual(self.meet('funnels', person.counted(events), 'day', days[0], model), 6)

    def test_7_who_never_rests(self):
        """A day moves where later sessions begin, in all weeks to the month's end; the month's cut ends that."""
        saturday = next(m for m in shapes() if len(self.calendar.days_of_month(m)) == 31
            and self.calendar.days_of_month(m)[0] % 7 == 6)
        days = self.calendar.days_of_month(saturday)
        mondays = [day for day in days if day % 7 == 1]
        for chosen in (mondays, mondays[::2]):
            events = restless(self.calendar, days[0], chosen, days[-1] + 20)
            for family in ('sessions', 'durations', 'goals', 'outcomes'):
                self.meet(family, events, 'day', days[0])
                self.meet(family, events, 'month', saturday)

    def shortcomings(self, declared):
        """What a table of families declares too small."""
        wrong = []
        for family, (unit, most) in itertools.product(FAMILIES, (('month', MONTH), ('day', DAY_MOST))):
            said = int(declared.get(family, {}).get('l2_' + unit, 0))
            if said < most[family] or (unit == 'month' and said != most[family] and family not in GENEROUS):
                wrong.append(f'{family}: l2_{unit} is {said}, one person can make {most[family]}')
        return wrong

    def test_8_as_declared(self):
        """What families.def says is not less than the maximum, and that was reached."""
        for unit, most in (('month', MONTH), ('day', DAY_MOST)):
            print(unit, {family: float(v) for family, v in self.found[unit].items()}, flush=True)
            for family in FAMILIES:
                if (unit, family) not in BOUNDED:
                    self.assertEqual(self.found[unit][family], most[family], f'{family}, {unit}: the maximum was not found')
        self.assertEqual(self.shortcomings(self.declared), [])

    def test_9_planted(self):
        """Too small a number, no clamp, no cut: each is seen."""
        for family, unit in itertools.product(FAMILIES, ('month', 'day')):
            most = (MONTH if unit == 'month' else DAY_MOST)[family]
            planted = {name: dict(row) for name, row in self.declared.items()}
            planted[family]['l2_' + unit] = str(most - 1)
            self.assertIn(f'{family}: l2_{unit} is {most - 1}', ' '.join(self.shortcomings(planted)))
        unbounded = person.Model(self.calendar, self.clamps, bounded=False)
        days = self.calendar.days_of_month(SIX_WEEKS)
        events = person.counted(pattern(self.calendar, [(days[0], days[-1], 1, many)]))
        for family in ('sessions', 'features', 'goals'):
            self.assertGreater(fractions.Fraction(*unbounded.distance(family, events, 'month', SIX_WEEKS)), MONTH[family], family)
        uncut = person.Model(self.calendar, self.clamps, cut=None)
        events = restless(self.calendar, days[-1], [day for day in range(days[-1] + 8, days[-1] + 120) if day % 14 == 1],
            days[-1] + 130)
        for family in ('durations', 'goals'):
            self.assertGreater(fractions.Fraction(*uncut.distance(family, events, 'month', SIX_WEEKS)), MONTH[family], family)
        late, next_month = self.calendar.start(days[-1]) + 23 * HOUR + 50 * MINUTE, days[-1] + 1
        needed = len(self.calendar.days_of_month(SIX_WEEKS + 1)) * TIERS_FROM // 7 + 1
        events = person.counted([event(late, value=1000), event(late + 20 * MINUTE, value=1000)] +
            [event(self.calendar.start(next_month + 1 + i), value=1000) for i in range(needed - 1)])
        self.assertEqual(fractions.Fraction(*uncut.distance('outcomes', events, 'month', SIX_WEEKS)), 6)


if __name__ == '__main__':
    unittest.main(verbosity=2, argv=sys.argv)
