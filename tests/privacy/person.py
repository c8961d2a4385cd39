"""What one person is in everything that a differentially private app ever releases: a model of its own, made from the
definitions alone, to hold the declared sensitivities (families.def) against.

A person is a list of events. released() says in which cells they are, with how much, in all periods there are. A calendar
month (or day) of events away, and the difference is what noise must hide.

An event is one whose copies were told apart: sent twice it is one event, at its earliest time, and goes with all its copies.
A pseudonym dies with an absence: of more than LINK_EPOCHS quarters of receipt, or of the horizon. Who comes back is new.
"""
import bisect
import collections
import datetime
import itertools
import os
import re
import zoneinfo

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
TIMEOUT, LONGEST, LATENESS = 30 * MINUTE, 24 * HOUR, 6 * HOUR
LINK_EPOCHS, HORIZON_DAYS = 1, 400
RETENTION = {'week': (1, 2, 3, 4, 8, 12), 'month': (1, 2, 3, 6, 12)}
MATURED_MONTHS = 12
DIMENSIONS, FUNNEL_STEPS, FUNNEL_DAYS = 3, 3, 7
TIERS = (0, 2, 4)  # sessions a week from which on


def declared(path=os.path.join(SOURCE, 'anonymizer/release/families.def')):
    """{family: {column: text}} of families.def, columns as its own comment names them."""
    with open(path, encoding='utf-8') as file:
        text = file.read()
    columns = [c.strip(' "\n*') for c in re.search(r'\* FAMILY\(([^)]*)\)', text).group(1).split(',')]
    rows = {}
    for row in re.findall(r'^FAMILY\(([^)]*)\)', text, re.M):
        cells = dict(zip(columns, (c.strip(' "\n') for c in row.split(','))))
        rows[cells['name']] = cells
    return rows


class Calendar:
    """Days of a time zone, as ordinals of dates."""

    def __init__(self, zone='UTC', first=2023, last=2032):
        tz = zoneinfo.ZoneInfo(zone)
        self.first = datetime.date(first, 1, 1).toordinal()
        self.starts, self.months = [], []
        for ordinal in range(self.first, datetime.date(last, 12, 31).toordinal()):
            date = datetime.date.fromordinal(ordinal)
            self.starts.append(int(datetime.datetime(date.year, date.month, date.day, tzinfo=tz).timestamp() * 1000))
            self.months.append(date.year * 12 + date.month - 1)

    def start(self, day):
        return self.starts[day - self.first]

    def day(self, at):
        return bisect.bisect_right(self.starts, at) - 1 + self.first

    def month(self, day):
        return self.months[day - self.first]

    @staticmethod
    def week(day):
        return (day - 1) // 7

    def days_of_month(self, month):
        first = datetime.date(month // 12, month % 12 + 1, 1).toordinal()
        after = datetime.date((month + 1) // 12, (month + 1) % 12 + 1, 1).toordinal()
        return range(first, after)


Event = collections.namedtuple('Event', 'at received id session engaged goals features classes steps value')
Session = collections.namedtuple('Session', 'start end engaged goals')


def event(at, *, received=None, id=None, session='', engaged=False, goals=(), features=(), classes=(None,) * DIMENSIONS,
        steps=(), value=None):
    """id: events of one id are copies of one; value: of the outcome, 0 … 1000 thousandths of its range."""
    return Event(at, at if received is None else received, id, session, engaged, frozenset(goals), frozenset(features),
        tuple(classes), frozenset(steps), value)


def counted(events):
    """Of what came in time each event once, the earliest copy."""
    kept, single = {}, []
    for e in events:
        if e.received - e.at > LATENESS:
            continue
        if e.id is None:
            single.append(e)
        elif e.id not in kept or e.at < kept[e.id].at:
            kept[e.id] = e
    return sorted(single + list(kept.values()), key=lambda e: e.at)


class Model:
    """rules: how a released number is made of a person; planted defects change one of them."""

    def __init__(self, calendar, clamps, cut='month', bounded=True):
        self.calendar, self.clamps, self.cut, self.bounded = calendar, clamps, cut, bounded
        self.unit = collections.defaultdict(lambda: 1, sessions=clamps['sessions'], outcomes=1000)

    def without(self, events, unit, of):
        """The events (counted) but those of a day or month."""
        if unit == 'day':
            return [e for e in events if self.calendar.day(e.at) != of]
        return [e for e in events if self.calendar.month(self.calendar.day(e.at)) != of]

    def distance(self, family, events, unit, of):
        """(numerator, denominator) of the squared L2 distance, in clamps."""
        cells = collections.Counter(self.released(family, events))
        cells.subtract(self.released(family, self.without(events, unit, of)))
        return sum(v * v for v in cells.values()), self.unit[family] ** 2

    def released(self, family, events):
        """{cell: amount} of a person's counted events."""
        cells = collections.Counter()
        for life in self.lives(events):
            cells.update(getattr(self, family)(life))
        return cells

    def lives(self, events):
        """Events under one pseudonym each."""
        lives = []
        for e in sorted(events, key=lambda e: e.received):
            if lives:
                last, now = self.calendar.day(lives[-1][-1].received), self.calendar.day(e.received)
                absent = self.calendar.month(now) // 3 - self.calendar.month(last) // 3
            if not lives or absent > LINK_EPOCHS or now - last > HORIZON_DAYS:
                lives.append([])
            lives[-1].append(e)
        return [sorted(life, key=lambda e: e.at) for life in lives]

    def spans(self, life):
        """{interval: the sorted periods in which they are active}"""
        days = sorted({self.calendar.day(e.at) for e in life})
        return {'day': days, 'week': sorted({self.calendar.week(d) for d in days}),
            'month': sorted({self.calendar.month(d) for d in days})}

    # --- families -----------------------------------------------------------------------------------------------------

    def active(self, life):
        return {(interval, p): 1 for interval, periods in self.spans(life).items() for p in periods}

    def new(self, life):
        return {(interval, periods[0]): 1 for interval, periods in self.spans(life).items()}

    def retention(self, life):
        spans = self.spans(life)
        return {(interval, spans[interval][0], n): 1 for interval, periods in RETENTION.items() for n in periods
            if spans[interval][0] + n in spans[interval]}

    def last_active(self, life):
        months = self.spans(life)['month']
        return {(months[0], max(m - months[0] for m in months if m - months[0] <= MATURED_MONTHS)): 1}

    def dimensions(self, life):
        least = {}
        for e in life:
            day = self.calendar.day(e.at)
            for d, value in enumerate(e.classes):
                for period in (('week', self.calendar.week(day)), ('month', self.calendar.month(day))):
                    if value is not None:
                        least[d, period] = min(least.get((d, period), value), value)
        return {(key, value): 1 for key, value in least.items()}

    def first_items(self, met, clamp):
        """{(period, item): 1} of {period: items}: the first ones by position count."""
        clamp = clamp if self.bounded else None
        return {(period, item): 1 for period, items in met.items() for item in sorted(items)[:clamp]}

    def features(self, life):
        met = collections.defaultdict(set)
        for e in life:
            met[self.calendar.week(self.calendar.day(e.at))].update(e.features)
        return self.first_items(met, self.clamps['features'])

    def of_weeks(self, life):
        """{week: sessions that start in it, by start}"""
        weeks = collections.defaultdict(list)
        for session in self.sessions_of(life):
            weeks[self.calendar.week(self.calendar.day(session.start))].append(session)
        return weeks

    def goals(self, life):
        met = {week: set().union(*(s.goals for s in found)) for week, found in self.of_weeks(life).items()}
        return self.first_items(met, self.clamps['goals'])

    def sessions(self, life):
        cells = collections.Counter()
        for week, found in self.of_weeks(life).items():
            count = found[:self.clamps['sessions'] if self.bounded else None]
            cells['sessions', week] = len(count)
            cells['engaged', week] = sum(s.engaged for s in count)
        return cells

    def durations(self, life):
        return {(week, ((found[0].end - found[0].start) // 1000).bit_length()): 1
            for week, found in self.of_weeks(life).items()}

    def funnels(self, life):
        anchors = {}
        for e in life:
            if 0 in e.steps:
                anchors.setdefault(self.calendar.week(self.calendar.day(e.at)), e)
        return {(week, self.furthest(life, anchor)): 1 for week, anchor in anchors.items()}

    def outcomes(self, life):
        most, started = {}, collections.Counter()
        for e in life:
            month = self.calendar.month(self.calendar.day(e.at))
            if e.value is not None:
                most[month] = max(most.get(month, 0), e.value if not self.bounded else min(e.value, 1000))
        for session in self.sessions_of(life):
            started[self.calendar.month(self.calendar.day(session.start))] += 1
        cells = {}
        for month, value in most.items():
            length = len(self.calendar.days_of_month(month))
            tier = max(i for i, least in enumerate(TIERS) if started[month] * 7 >= least * length)
            cells['users', month, tier], cells['sum', month, tier] = 1000, value
        return cells

    # --- what they are made of ------------------------------------------------------------------------------------------

    def sessions_of(self, life):
        """Sessions by start. Cut where a calendar month (or day) begins: else what happened before would move, through the
        longest session that there is, where later sessions begin, for as long as somebody never rests."""
        open_of, found = {}, []
        for e in life:
            last = open_of.get(e.session)
            whole = last and e.at - last[-1].at <= TIMEOUT and e.at - last[0].at <= LONGEST and \
                self.piece(e) == self.piece(last[0])
            if not whole:
                last = open_of[e.session] = []
                found.append(last)
            last.append(e)
        return sorted((Session(s[0].at, s[-1].at, any(e.engaged for e in s), frozenset().union(*(e.goals for e in s)))
            for s in found), key=lambda s: s[:2])

    def piece(self, e):
        day = self.calendar.day(e.at)
        return {'month': self.calendar.month(day), 'day': day, None: 0}[self.cut]

    @staticmethod
    def furthest(life, anchor):
        """The furthest step: in time order, an event goes one step; of one moment they count in declared order."""
        first = bisect.bisect_left(life, anchor.at, key=lambda e: e.at)
        window = [e for e in itertools.takewhile(lambda e: e.at <= anchor.at + FUNNEL_DAYS * DAY, life[first:])
            if e.steps and e is not anchor]
        reached = 0
        for _, at_once in itertools.groupby(window, key=lambda e: e.at):
            left = list(at_once)
            while reached + 1 < FUNNEL_STEPS and any(reached + 1 in e.steps for e in left):
                left.remove(next(e for e in left if reached + 1 in e.steps))
                reached += 1
        return reached
