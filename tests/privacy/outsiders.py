"""What somebody can do who sees everything that is released, knows all people but one, and may send events: subtract, forge
people, and put together what all exits tell. Attacks on an installation that is running (attacks.py); each is shown to work on
something weak first."""
import collections
import csv
import datetime
import io
import json
import math
import re
import time

import throng

MINUTE, HOUR, DAY = 60_000, 3_600_000, datetime.timedelta(days=1)
BEGIN, END = datetime.date(2025, 12, 29), datetime.date(2026, 2, 1)  # a Monday, a Sunday
FORGED = 10  # k - 1 of the least k
LONELY = datetime.date(2026, 1, 4)  # of the crowd nobody comes on Sundays
CROWD = 70  # enough for a day of them to be shown
ITEMS = {'': 0, 'page': 0, 'way': 0, 'progress': 0} | {f'{kind}{i}': i for kind in 'fg' for i in range(8)}
SCHEDULES = (6 * HOUR, 6 * HOUR + 24 * HOUR + 30 * MINUTE)  # a day's end until its activity, its sessions are released


def span():
    return (BEGIN + DAY * i for i in range((END - BEGIN).days + 1))


def visit(user, day, hour, more, page='/a'):
    at = throng.day_ms(str(day)) + hour * HOUR
    yield user, at, 'view', page, ''
    if more:
        yield user, at + MINUTE, 'tick', '', '0.5'
    for i, name in enumerate(more):
        yield user, at + (2 + i) * MINUTE, name, '', ''


def rows(victim, forged):
    """A crowd that somebody knows; a victim who is there on even days of January, and does what nobody else does; forged people
    who do the same on Sundays."""
    for day in span():
        if day.weekday() != 6:
            for user in range(CROWD):
                yield from visit(f'u{user}', day, 8 + user % 12, ())
        for user in range(forged if day.weekday() == 6 else 0):
            yield from visit(f'forged{user}', day, 10, ('e0', 'e2', 'e3', 'e4'), '/b')
        if victim and day.month == 1 and day.day % 2 == 0:
            for hour in (1, 9, 17, 21):
                yield from visit('victim', day, hour, ('e0', 'e2', 'e3', 'e4'), '/b')


def tail(tau, mean, sigma2):
    """ln P[mean + noise < tau], noise discrete Gaussian."""
    reach = int(14 * math.sqrt(sigma2)) + 2
    weights = [math.exp(-i * i / (2 * sigma2)) for i in range(-reach, reach + 1)]
    below = sum(weight for i, weight in zip(range(-reach, reach + 1), weights) if mean + i < tau)
    return math.log(max(below / sum(weights), 1e-300))


class Outsiders:
    """Mixed into a test that has an installation."""

    # --- the apps ---------------------------------------------------------------------------------------------------------

    def people(self, preset, victim, forged):
        """The name of an app of the preset with the crowd, and the victim or not, and so many forged people. Made once."""
        name = f'{preset[:5].rstrip("-")}-{"v" if victim else "x"}-{forged}'
        if name not in self.files:
            body = self.body(name, preset)
            body['privacy'] = {'preset': preset} | ({'allow_unprotected': True} if preset in ('exact', 'threshold-only') else {})
            self.add(body)
            self.load(name, rows(victim, forged))
            self.throng.seal(name, str(END))
            self.files[name] = preset
        return name

    def cells_of(self, app):
        """{(metric, interval, period, item, n): (value, sigma² or None)} of what was released."""
        found = self.throng.sql("""SELECT metric, v.interval, v.period, v.item, v.n, v.value, coalesce(v.sigma2, r.sigma2)
            FROM release.value v JOIN release.release r USING (leaf) JOIN config.app a ON a.app = v.app WHERE a.name = %s""", (app,),
            role='throng_read')
        return {(metric, interval, period, ITEMS.get(item, -1), n): (value, sigma2 and self.fraction(sigma2))
            for metric, interval, period, item, n, value, sigma2 in found}

    @staticmethod
    def fraction(text):
        above, _, below = text.partition('/')
        return float(above) / float(below or 1)

    def thresholds(self, app):
        said = json.loads(self.throng.cli('policy', 'explain', '--app', app, '--json'))
        return {number['metric']: number['shown_from'] for family in said['families'] for number in family['numbers']}, said

    def likelihood(self, app, other, taus):
        """ln(P[what app released | its people] / P[the same | other's people]), over all cells at once: nobody can tell the two apart
        better than by this number. Infinite if a cell without noise differs. And how many cells it is of."""
        told, ratio, seen = self.cells_of(app), 0.0, 0
        mine, theirs = self.exact_cells(app, END), self.exact_cells(other, END)
        for cell in set(mine) | set(theirs):
            value, sigma2 = told.get(cell[1:], (None, 0))
            one, two = mine.get(cell, 0), theirs.get(cell, 0)
            if one == two or cell[1:] not in told:
                continue
            seen += 1
            if sigma2 is None:
                return math.inf, seen
            if value is not None:
                ratio += ((value - two) ** 2 - (value - one) ** 2) / (2 * sigma2)
            elif taus[cell[1]] is not None: # else another number's cell decides whether it is shown
                ratio += tail(taus[cell[1]], one, sigma2) - tail(taus[cell[1]], two, sigma2)
        return ratio, seen

    # --- subtracting ------------------------------------------------------------------------------------------------------

    def guesses(self, app, forged):
        """Of each of January's days, whether it is guessed right if the victim was there: by subtracting the people one knows from a day's
        users; by subtracting the day before."""
        told, known = self.throng.released(app, 'active_users'), collections.Counter()
        for day in span():
            known[str(day)] = CROWD if day.weekday() != 6 else forged
        right, after = [], []
        for day in (day for day in span() if day.month == 1):
            there = day.day % 2 == 0
            value, before = (told.get((str(one), -1)) for one in (day, day - DAY))
            right.append(((value or 0) - known[str(day)] >= 0.5) == there)
            if value is not None and before is not None and (day - DAY).month == 1:
                change = value - before - known[str(day)] + known[str(day - DAY)]
                after.append((change > 0) == there)
        self.assertGreater(len(after), 12)
        return right, after

    def test_differencing(self):
        """Whoever knows all others finds the victim by subtraction where there is no noise, day by day, from the day before, and in
        parts of a week; with noise hardly better than by tossing a coin, and by all cells together not beyond epsilon."""
        weak = self.people('exact', True, 0)
        self.assertTrue(all(all(guesses) for guesses in self.guesses(weak, 0)))
        parts = {(period, n): value for (metric, interval, period, _, n), (value, _) in self.cells_of(weak).items()
            if metric == 'dimension_users' and interval == 'week'}
        weeks = {period for period, _ in parts}
        self.assertEqual({parts.get((week, 1), 0) + parts.get((week, 2), 0) for week in weeks if week.month == 1}, {CROWD + 1})
        self.assertEqual(self.likelihood(weak, self.people('exact', False, 0), {})[0], math.inf)
        # Of two apps, each with noise of its own: with that of one alone, all changes but one are guessed right in four of 10,000 runs.
        strong = [self.guesses(self.people('standard', True, forged), forged) for forged in (0, FORGED)]
        days, change = (sum(map(sum, guesses)) / sum(map(len, guesses)) for guesses in zip(*strong))
        print('guessed right:', days, change, flush=True)
        self.assertLess(days, 0.92)
        self.assertLess(change, 0.95)
        self.compare_likelihood(0)

    def compare_likelihood(self, forged):
        """By the best of all tests, over every cell that differs, the victim is hidden as promised."""
        for victim in (True, False):
            app, other = self.people('standard', victim, forged), self.people('standard', not victim, forged)
            taus, said = self.thresholds(app)
            ratio, seen = self.likelihood(app, other, taus)
            print(f'{app}: ln(likelihood ratio) {ratio:.3f} over {seen} cells, epsilon {said["epsilon"]["user_month"]:.3f}', flush=True)
            self.assertGreater(seen, 30)
            self.assertLess(abs(ratio), said['epsilon']['user_month'])

    # --- forging ----------------------------------------------------------------------------------------------------------

    def test_forged_people(self):
        """k - 1 forged people beside one: threshold-only shows the cell if the one was there, as its documentation says. With noise the
        forged ones add themselves and nothing else: what the victim is in all cells is the same with them and without."""
        lonely = (str(LONELY), -1)
        shown = [self.throng.released(self.people('threshold-only', victim, FORGED), 'active_users')[lonely] for victim in (True, False)]
        self.assertEqual([value is None for value in shown], [False, True])
        without, forged = self.people('standard', False, 0), self.people('standard', False, FORGED)
        added = self.differences(forged, without, END)
        self.assertTrue(added)
        declared = self.declared_families()
        for (family, number, *cell), value in added.items():
            clamp = 10_000 if number == 'outcome_sum' else int(declared[family]['dp_clamp']) if family == 'sessions' else 1
            self.assertLessEqual(abs(value), FORGED * clamp, (number, cell))
        alone = self.differences(self.people('standard', True, 0), without, END)
        amid = self.differences(self.people('standard', True, FORGED), forged, END)
        self.assertEqual(alone, amid)
        for family, square in self.distances(amid, declared).items():
            self.assertLessEqual(square, int(declared[family]['l2_month']), family)
        self.compare_likelihood(FORGED)

    def post(self, key, source, user, seq=0):
        body = {'source': source, 'events': [{'name': 'view', 'ts': throng.now_ms(), 'user': user, 'seq': seq, 'props': {'page': '/a'}}]}
        status, answer, _ = self.throng.post(body, key)
        self.assertEqual(status, 202, answer)
        return {name: answer.get(name) for name in ('accepted', 'rejected', 'dropped')}

    def test_seq_poisoning(self):
        """An event whose source and seq were seen in its shard is a copy of what was seen, whoever sends it: who knows a source (24
        random characters of one page load) can use it up, in every shard. So a person's events are meant with all their copies when
        it is said what is hidden. Who does not know a source changes nothing, and no answer tells what counted."""
        self.add(self.body('poison', 'standard'))
        key = self.throng.add_key('poison')
        users = [f'other{i}' for i in range(64)]
        victim = throng.random_source()
        first = self.post(key, victim, 'victim')
        self.assertEqual(self.throng.wait_tally('poison', 1), (1, 0, 0))
        known = [self.post(key, victim, user) for user in users]
        counted, duplicate, _ = self.throng.wait_tally('poison', 1 + len(users))
        self.assertLessEqual(counted, throng.SHARDS)
        self.assertEqual(counted + duplicate, 1 + len(users))
        guessed = [self.post(key, throng.random_source(), user) for user in users]
        self.assertEqual(self.throng.wait_tally('poison', 1 + 2 * len(users)), (counted + len(users), duplicate, 0))
        self.assertEqual([answer for answer in known + guessed if answer != first], [])

    # --- all exits at once ------------------------------------------------------------------------------------------------

    def readable(self):
        """Every relation that readers can select something of."""
        return {name for name, in self.throng.sql("""SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n
            ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND n.nspname NOT IN ('pg_catalog',
            'information_schema', 'pg_toast') AND has_schema_privilege('throng_read', n.oid, 'USAGE')
            AND has_any_column_privilege('throng_read', c.oid, 'SELECT')""")}

    def unreleased(self):
        """Of what readers can read, what is no release, no plan, nothing of the trail and its log, no declaration, and not what became
        of requests and incidents, which the trail tells too: nothing but a test app's."""
        declared = {f'config.{name}' for name in ('installation', 'app', 'definition', 'reader_key')}
        log = {f'audit.{name}' for name in ('outbox', 'pending', 'entry', 'tile', 'checkpoint', 'log_key', 'pruned', 'witness')}
        # Columns that name nobody; an answer is sealed to the key of whoever asked.
        requests = {f'subject.{name}' for name in ('request', 'answer', 'purge', 'purged_shard', 'retention', 'backup')}
        return {name for name in self.readable() if not name.startswith(('release.', 'live.'))} - declared - log - requests - {
            'config.incident', 'config.annotation', 'throng_meta.migration'}

    def false_leaves(self, app):
        """Entries of the trail that do not say exactly what the rows of their release say."""
        told = collections.defaultdict(set)
        for leaf, *row in self.throng.sql("""SELECT v.leaf::text, metric, v.item, n, value FROM release.value v
                JOIN config.app a ON a.app = v.app WHERE a.name = %s""", (app,), role='throng_read'):
            told[leaf].add(tuple(row))
        wrong = set(told)
        for leaf, text in self.throng.sql("""SELECT id::text, convert_from(leaf, 'UTF8') FROM audit.outbox
                WHERE act = 'aggregates_released' AND convert_from(leaf, 'UTF8')::jsonb->>'tenant' = %s""", (app,), role='throng_read'):
            said = {(group[0], group[1], n, value) for group in json.loads(text)['data']['rows'] for n, value in group[2]}
            wrong ^= {leaf} if leaf not in told or said == told[leaf] else set()
        return wrong

    def false_times(self):
        """Releases whose time is not the schedule's: a day's end and six hours, or for sessions 30.5 hours. Apps are in UTC."""
        found = self.throng.sql("""SELECT a.name, (extract(epoch FROM sealed_at) * 1000)::bigint, r.interval, r.period
            FROM release.release r JOIN config.app a USING (app) WHERE a.time_zone = 'UTC'""", role='throng_read')
        wrong = {(name, sealed) for name, sealed, interval, period in found if all((sealed - after) % throng.DAY_MS for after in SCHEDULES)
            or sealed <= throng.day_ms(str(period))}
        return wrong

    def false_numbers(self, app, metric, interval):
        """Numbers that the API (JSON, CSV) and the command line (CSV) tell of a metric and that no release row has so."""
        target = f'/v1/apps/{app}/metrics/{metric}?interval={interval}'
        released = {period: value for (period, _), value in self.throng.released(app, metric, interval).items()}
        said = [(row['period'], row['value']) for row in json.loads(self.ask(target))['rows'] if row['reliability'] != 'pending']
        texts = [self.ask(target + '&format=csv').decode(), self.throng.cli('query', '--app', app, metric, '--interval', interval,
            '--format', 'csv')]
        for text in texts:
            said += [(row['period'], int(row['value']) if row['value'] else None) for row in csv.DictReader(io.StringIO(text))]
        return [one for one in said if released.get(one[0]) != one[1]]

    def test_reconstruction(self):
        """All exits together tell the released rows and nothing beyond: the trail's entries, the API, CSV, the command line and gauges have
        the rows' numbers, times are the schedule's, and readers can select nothing else. A row that is changed, a time that is the
        moment's, and a sum that readers may select are each noticed."""
        asked = [(metric, interval) for metric in ('active_users', 'new_users') for interval in ('day', 'week', 'month')]
        asked.append(('sessions', 'week'))
        false = [self.unreleased(), self.false_leaves('shop'), self.false_times(), *(self.false_numbers('shop', *one) for one in asked)]
        self.assertEqual([one for one in false if one], [])
        self.check_gauges()
        self.check_texts()
        self.check_suppressed()
        patch = """SET session_replication_role = replica; UPDATE release.value SET value = value + %s WHERE metric = 'active_users'
            AND value IS NOT NULL AND app = (SELECT app FROM config.app WHERE name = 'shop') AND interval = 'week'"""
        self.throng.sql(patch, (1,))
        self.assertTrue(self.false_leaves('shop'))
        self.throng.sql(patch, (-1,))
        self.assertFalse(self.false_leaves('shop'))
        later = "SET session_replication_role = replica; UPDATE release.release SET sealed_at = sealed_at + %s * interval '17 s'"
        self.throng.sql(later, (1,))
        self.assertTrue(self.false_times())
        self.throng.sql(later, (-1,))
        self.throng.sql('GRANT SELECT (app) ON state.triple TO throng_read; GRANT USAGE ON SCHEMA state TO throng_read')
        self.assertEqual(self.unreleased(), {'state.triple'})
        self.throng.sql('REVOKE SELECT (app) ON state.triple FROM throng_read; REVOKE USAGE ON SCHEMA state FROM throng_read')
        self.assertFalse(self.unreleased())

    def check_gauges(self):
        lines = [line for line in self.ask('/metrics').decode().splitlines() if '"shop"' in line and 'active_users' in line]
        values = {value for interval in ('day', 'week', 'month')
            for value in self.throng.released('shop', 'active_users', interval).values()}
        self.assertTrue(lines)
        for line in lines:
            if re.match(r'throng_active_users\{', line):
                self.assertIn(int(float(line.rsplit(' ', 1)[1])), values, line)

    def check_texts(self):
        """No exit names a total that was counted and not released, or a moment of this run."""
        totals = {str(sum(self.throng.tally('shop'))), str(self.throng.tally('shop')[0])}
        today = time.strftime('%Y-%m-%d', time.gmtime())
        for name, told in self.exits('shop').items():
            text = told if isinstance(told, str) else '\n'.join(told) if isinstance(told, list) else told[1].decode()
            text = re.sub(r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', '', text)  # names of leaves have any digits
            self.assertFalse(totals & set(re.findall(r'\d+', text)), name)
            self.assertNotIn(today, text, name)

    def check_suppressed(self):
        """What is suppressed has no number in any column or entry, and no row of a family that is not funded is there at all."""
        found = self.throng.sql("""SELECT count(*) FILTER (WHERE reliability = 'suppressed' AND coalesce(value, low, high) IS NOT NULL),
            count(*) FILTER (WHERE r.sigma2 IS NULL), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM release.ledger l
            WHERE (l.population, l.app, l.family) = (r.population, r.app, r.family))) FROM release.value v JOIN release.release r
            USING (leaf) JOIN config.app a ON a.app = v.app WHERE a.name = 'shop'""", role='throng_read')
        self.assertEqual(found, [(0, 0, 0)])
