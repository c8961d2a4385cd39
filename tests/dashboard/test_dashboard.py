#!/usr/bin/python3
"""The dashboard in a real Chromium against a real installation: every view shows what the API answers, with its interval and its
leaf; it can be used by keyboard, by ear, on a phone, in both themes; and no key, and no request, goes where it must not."""
import csv
import datetime
import decimal
import gzip
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'system'))
import throng

CHROMIUM = os.environ.get('CHROMIUM') or shutil.which('chromium')
NODE = shutil.which('node')
POLICY = ["default-src 'none'", "script-src 'self'", "style-src 'self'", "font-src 'self'", "img-src 'self'", "connect-src 'self'",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
VIEWS = ('overview', 'pages', 'retention', 'funnels', 'features', 'goals', 'breakdowns', 'outcomes', 'insights', 'privacy', 'pipeline', 'live')
FRAGMENTS = ('#/overview?app=open', '#/overview?app=noisy&range=13m', '#/pages?app=noisy', '#/pages?app=open', '#/breakdowns?app=open&metric=genre',
    '#/retention?app=open', '#/retention?app=open&interval=month', '#/retention?app=noisy&kind=on_or_after', '#/funnels?app=open',
    '#/features?app=open&interval=week', '#/goals?app=open&interval=week', '#/outcomes?app=open', '#/insights?app=open', '#/privacy?app=noisy', '#/pipeline',
    '#/live?app=open', '#/overview?app=empty')
MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']


def rounded(value, places):
    """As a browser does it: halves away from 0."""
    return decimal.Decimal(repr(value)).quantize(decimal.Decimal(1).scaleb(-places), decimal.ROUND_HALF_UP)


def count(value):
    return f'{rounded(value, 0):,}'


def share(value):
    return f'{rounded(value * 100, 1)} %'.replace('-0.0 %', '0.0 %').replace('-', '−')


def fine(value):
    """Three digits that count."""
    number = decimal.Decimal(repr(value))
    places = 2 - number.adjusted() if number else 0
    text = f'{number.quantize(decimal.Decimal(1).scaleb(-places), decimal.ROUND_HALF_UP):f}'
    return text.rstrip('0').rstrip('.') if '.' in text else text


def seconds(value):
    if abs(value) < 10:
        return f'{rounded(value, 1)} s'
    whole = int(rounded(value, 0))
    return f'{whole} s' if whole < 60 else f'{whole // 60} min {whole % 60:02} s'


def monday(day):
    date = datetime.date.fromisoformat(day)
    return date - datetime.timedelta(days=date.weekday())


def month(period):
    return f'{MONTHS[int(period[5:7]) - 1]} {period[:4]}'


class Dashboard(unittest.TestCase):
    """`open` has exact numbers of four months; `noisy` those of 13 months under the standard preset; `empty` none."""

    @classmethod
    def setUpClass(cls):
        cls.throng = throng.Throng(environment={'THRONG_API_AUTH_PROXY_HEADER': 'X-Forwarded-User', 'THRONG_API_TRUSTED_PROXIES': '127.0.0.1',
            'THRONG_API_AUTH_PROXY_VIEWERS': 'vera'}).__enter__()
        cls.addClassCleanup(cls.throng.__exit__, None, None, None)
        with open(os.path.join(throng.SOURCE, 'schema', 'apps', 'sample.json'), encoding='utf-8') as file:
            sample = json.load(file)
        del sample['$schema']
        exact = {'preset': 'exact', 'allow_unprotected': True}
        for name, privacy in (('open', exact), ('noisy', {'preset': 'standard'}), ('empty', exact)):
            path = os.path.join(cls.throng.folder, name + '.json')
            with open(path, 'w', encoding='utf-8') as file: # so late that no day is released while its neighbours are looked at
                json.dump({**sample, 'name': name, 'title': f'The {name} one', 'privacy': privacy, 'lateness_minutes': 2880}, file)
            cls.throng.cli('app', 'add', path)
        for app, users, days in (('open', 300, 120), ('noisy', 3000, 400)):
            cls.throng.cli('simulate', '--app', app, '--users', str(users), '--days', str(days), '--seed', '7')
        cls.admin, cls.reader, cls.operator = (cls.throng.cli('key', 'add', '--scope', scope).strip() for scope in ('admin', 'read:open', 'ops'))
        throng.wait_for(lambda: cls.throng.ask('/v1/apps', cls.operator)[0] == 403, 10, 'the keys')
        cls.opt_out()

    @classmethod
    def opt_out(cls):
        """Three events of somebody who asks not to be counted."""
        key = cls.throng.cli('key', 'add', '--scope', 'ingest:empty').strip()
        event = {'name': 'page_view', 'ts': int(time.time() * 1000), 'user': 'somebody'}
        throng.wait_for(lambda: cls.throng.post({'events': [event]}, key, path='/v1/events?dry_run=1')[0] != 401, 10, 'the key to write by')
        for headers in ({'Sec-GPC': '1'}, {'Sec-GPC': '1'}, {'DNT': '1'}):
            status, answer, _ = cls.throng.post({'events': [event]}, key, headers)
            assert (status, answer['dropped']) == (202, 1), (status, answer)
        throng.wait_for(lambda: sum(float(value) for value in re.findall(r'throng_events_refused_total\{[^}]*reason="(?:gpc|dnt)"[^}]*\} (\S+)',
            cls.throng.ask('/metrics/ops', cls.operator)[1].decode())) == 3, 10, 'what was dropped to be told')

    def drive(self, scenario, key=None, expected_errors=(), **given):
        base = f'http://127.0.0.1:{self.throng.admin_port}'
        given = {'base': base, 'key': self.admin if key is None else key, 'chromium': CHROMIUM, **given}
        done = subprocess.run([NODE, os.path.join(HERE, 'driver.mjs'), scenario, json.dumps(given)], capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise throng.Failure(f'{scenario}: {done.stderr[-3000:]}')
        answer = json.loads(done.stdout)
        self.assertEqual(answer['errors'], list(expected_errors))
        self.assertEqual(answer['strangers'], [], 'requests to others')
        for secret in (self.admin, self.reader, self.operator):
            self.assertFalse([address for address in answer['addresses'] if secret in address], 'a key in an address')
        return answer['result']

    def api(self, path, key=None, app='open'):
        status, body, _ = self.throng.ask(f'/v1/apps/{app}/{path}', key or self.admin)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def view(self, fragment):
        """What a fragment shows. All are visited by one browser, the first time that any is asked for."""
        if not self.seen:
            self.seen.update(self.drive('views', fragments={entry: entry for entry in FRAGMENTS}))
        return self.seen[fragment]

    seen = {}

    def cards(self, fragment):
        found = self.view(fragment)
        self.assertEqual(found['violations'], [])
        return {card['label']: card for card in found['cards']}

    def rows(self, metric, interval, fragment, **query):
        """The API's rows for the range that the page says it shows."""
        text = self.view(fragment)['text']
        self.assertIn('time zone UTC', text)
        more = ''.join(f'&{name}={value}' for name, value in query.items())
        return self.api(f'{metric}?interval={interval}{more}')['rows']

    def check_series(self, card, rows, written):
        """Headline, table and leaves are those of the newest rows that the API answers."""
        self.assertEqual(card['big'], [written(rows[-1]['value'])])
        table = card['tables'][0]
        shown = [row[1] for row in table['rows']]
        self.assertGreater(len(shown), 1)  # at the end of some months, three of them have but two that are over
        newest_first = list(reversed(rows))[:len(shown)]
        self.assertEqual(shown, [written(row['value']) for row in newest_first])
        self.assertEqual([leaf for leaf in table['leaves']], [row['audit_leaf'] for row in newest_first])
        self.assertEqual(card['charts'], 1)

    # --- the numbers ----------------------------------------------------------------------------------------------------

    def test_overview(self):
        cards = self.cards('#/overview?app=open')
        for label, metric, interval, written in (('Active users', 'active_users', 'day', count), ('New users', 'new_users', 'day', count),
                ('Returning users', 'returning_users', 'day', count), ('Page views', 'page_views', 'day', count), ('Sessions', 'sessions', 'day', count),
                ('Engaged time', 'engaged_time', 'day', seconds), ('Bounce rate', 'bounce_rate', 'day', share), ('Stickiness', 'stickiness', 'month', share),
                ('Growth rate', 'growth_rate', 'month', share)):
            with self.subTest(metric):
                self.check_series(cards[label], self.rows(f'metrics/{metric}', interval, '#/overview?app=open'), written)

    def test_intervals(self):
        """Under noise every number has its interval beside it, and what is suppressed says so."""
        cards = self.cards('#/overview?app=noisy&range=13m')
        rows = self.api('metrics/active_users?interval=week', app='noisy')['rows']
        self.assertEqual(cards['Active users']['big'], [count(rows[-1]['value'])])
        self.assertEqual(cards['Active users']['bounds'], [f"{count(rows[-1]['low'])} to {count(rows[-1]['high'])}"])
        for shown, row in zip(cards['Active users']['tables'][0]['rows'], reversed(rows)):
            self.assertEqual(shown[1:4], [count(row['value']), f"{count(row['low'])} to {count(row['high'])}", row['reliability']])
        self.assertIn('Not released', cards['Page views']['state'][0])
        pages = self.view('#/pages?app=noisy')
        ranks = {card['label']: dict(card['ranks']) for card in pages['cards']}
        rows = self.api('metrics/active_users?by=page&interval=week', app='noisy')['rows']
        newest = {row['class']: 'suppressed' if row['value'] is None else count(row['value']) for row in rows if row['period'] == rows[-1]['period']}
        self.assertEqual(ranks['Page'], newest)
        self.assertIn('suppressed', newest.values())
        self.assertIn('What would help', pages['text'])
        self.assertIn('Entry page', ' '.join(card['label'] + ' '.join(card['state']) for card in pages['cards']) + pages['text'])

    def test_breakdowns(self):
        for fragment, dimension, label in (('#/pages?app=open', 'page', 'Page'), ('#/pages?app=open', 'entry_page', 'Entry page'),
                ('#/pages?app=open', 'source', 'Source'), ('#/breakdowns?app=open&metric=genre', 'genre', 'Genre')):
            with self.subTest(label):
                rows = self.api(f'metrics/active_users?by={dimension}&interval=week')['rows']
                newest = [row for row in rows if row['period'] == rows[-1]['period']]
                card = self.cards(fragment)[label]
                self.assertEqual(dict(card['ranks']), {row['class']: count(row['value']) for row in newest})
                values = [int(value.replace(',', '')) for _, value in card['ranks']]
                self.assertEqual(values, sorted(values, reverse=True))
                self.assertEqual(set(card['tables'][0]['leaves']), {row['audit_leaf'] for row in newest})
        self.assertEqual(self.cards('#/breakdowns?app=open&metric=genre')['Active users by genre']['charts'], 1)

    def heat(self, fragment, interval, kind='on'):
        found = self.view(fragment)
        cells = {(row['cohort'], row['n']): row for row in self.api(f'retention?interval={interval}&kind={kind}')['rows']}
        cohorts = sorted({cohort for cohort, _ in cells}, reverse=True)[:len(found['heat'])]
        columns = sorted({n for cohort, n in cells if cohort in cohorts and n > 0})
        self.assertGreater(len(cohorts), 1)  # as above
        for shown, cohort in zip(found['heat'], cohorts):
            expected = [count(cells[cohort, 0]['value'])]
            for n in columns:
                cell = cells.get((cohort, n))
                expected.append('' if cell is None else 'suppressed' if cell['share']['value'] is None else share(cell['share']['value'])[:-2])
            self.assertEqual(shown[1:], expected, cohort)
        for n, shown in zip(columns, found['mean'][1:]):
            whole = [(cells[cohort, n]['value'], cells[cohort, 0]['value']) for cohort in cohorts if (cohort, n) in cells and cells[cohort, 0]['value']]
            self.assertEqual(shown, share(sum(came for came, _ in whole) / sum(size for _, size in whole))[:-2], n)

    def test_retention(self):
        self.heat('#/retention?app=open', 'week')
        self.heat('#/retention?app=open&interval=month', 'month')

    def test_retention_on_or_after(self):
        found = self.view('#/retention?app=noisy&kind=on_or_after')
        rows = self.api('retention?interval=month&kind=on_or_after', app='noisy')['rows']
        self.assertEqual(found['heat'][-1][0], month(rows[0]['cohort']))
        self.assertEqual(found['heat'][-1][1:], [count(rows[0]['value'])] + ['suppressed' if row['share']['value'] is None else share(row['share']['value'])[:-2]
            for row in rows if row['cohort'] == rows[0]['cohort'] and row['n'] > 0])

    def test_funnels(self):
        rows = self.api('funnels/first_story')['rows']
        newest = [row for row in rows if row['period'] == rows[-1]['period']]
        cards = self.cards('#/funnels?app=open')
        steps = cards['To the end of a story']['steps']
        self.assertEqual([step[0] for step in steps], [row['label'] for row in newest])
        for step, row in zip(steps, newest):
            self.assertEqual(step[1].split(' ')[0], count(row['value']))
            for rate in ('from_previous', 'from_first'):
                if row[rate] is not None:
                    self.assertIn(share(row[rate]['value']), step[2])
        whole = [dict(row, value=row['from_first']['value']) for row in rows if row['step'] == 4]
        self.check_series(cards['Whole way: step 4 from step 1'], whole, share)

    def test_features_and_goals(self):
        for fragment, metric, label, titles in (
                ('#/features?app=open&interval=week', 'feature_adoption', 'Feature adoption', {'stories': 'Reading stories', 'choices': 'Making choices'}),
                ('#/goals?app=open&interval=week', 'goal_rate', 'Goal rate', {'finish_story': 'Finish a story', 'sign_up': 'Sign up'})):
            with self.subTest(metric):
                rows = self.api(f'metrics/{metric}?interval=week')['rows']
                newest = {titles[row['item']]: share(row['value']) for row in rows if row['period'] == rows[-1]['period']}
                cards = self.cards(fragment)
                self.assertEqual(dict(cards[f'{label} in one period']['ranks']), newest)
                self.assertEqual(cards[label]['charts'], 1)
                self.assertEqual([row[2] for row in cards[label]['tables'][0]['rows'][:2]], [share(row['value']) for row in reversed(rows[-2:])])
        self.check_series(self.cards('#/goals?app=open&interval=week')['Completion rate'], self.api('metrics/completion_rate?interval=week')['rows'], share)

    def test_outcomes(self):
        rows = self.api('outcomes/progress')['rows']
        newest = [row for row in rows if row['period'] == rows[-1]['period']]
        found = self.view('#/outcomes?app=open')
        tiers = {card['label']: card for card in found['cards']}['Progress through stories']['tiers']
        self.assertEqual([name for name, _ in tiers], ['All users', 'Occasional', 'Regular', 'Intense'])
        for (_, shown), row in zip(tiers, newest):
            self.assertEqual(shown.split(' ')[0], 'suppressed' if row['value'] is None else f"{row['value']:.3g}")
        self.assertIn('This is a correlation', found['text'])

    COMPARED = (  # view, app, question, what tells rows apart, card, how its numbers are written
        ('features', 'open', 'metrics/feature_adoption?', 'item', 'Feature adoption in one period', share),
        ('goals', 'open', 'metrics/goal_rate?', 'item', 'Goal rate in one period', share),
        ('breakdowns', 'open', 'metrics/active_users?by=genre&', 'class', 'Genre', count),
        ('funnels', 'open', 'funnels/first_story?', 'step', 'To the end of a story', count),
        ('pages', 'noisy', 'metrics/active_users?by=page&', 'class', 'Page', count),
        ('outcomes', 'noisy', 'outcomes/progress?', 'tier', 'Progress through stories', fine))

    def test_compared(self):
        """Beside each number of a period stands that of the range before; a change is marked only where both intervals allow it."""
        fragments, wanted = {}, {}
        for view, app, question, key, _, _ in self.COMPARED:
            interval, length = ('month', 27) if view == 'outcomes' else ('week', 6)
            rows = self.api(f'{question}interval={interval}', app=app)['rows']
            periods = sorted({row['period'] for row in rows})  # the newest four, beside the four before them
            end = datetime.date.fromisoformat(periods[-1]) + datetime.timedelta(days=length)
            fragments[view] = f'#/{view}?app={app}&compare=1&interval={interval}&range=custom&from={periods[-4]}&to={end}' + ('&metric=genre' if view == 'breakdowns' else '')
            wanted[view] = [{row[key]: row for row in rows if row['period'] == period} for period in (periods[-1], periods[-5])]
        without = ('retention', 'insights', 'privacy', 'pipeline', 'live')
        fragments.update({view: f'#/{view}?app=open&compare=1' for view in without})
        found = self.drive('views', fragments=fragments)
        for view, _, _, _, label, written in self.COMPARED:
            with self.subTest(view):
                self.assertEqual((found[view]['violations'], found[view]['compares']), ([], True))
                self.check_compared({card['label']: card for card in found[view]['cards']}[label], *wanted[view], written)
        self.assertEqual([view for view in without if found[view]['compares']], [], 'nothing to compare')

    def check_compared(self, card, now, before, written):
        shown = {name: row for name, row in now.items() if row['value'] is not None}
        moves = [(texts, marks) for _, texts, marks in card['moves'] if texts]
        self.assertEqual(sorted(texts[0] for texts, _ in moves), sorted(self.was(before.get(name), written) for name in shown))
        if 'step' not in next(iter(now.values())):  # a step has its rates' marks too
            self.assertEqual(sum(len(marks) for _, marks in moves), sum(self.is_clear(row, before.get(name)) for name, row in shown.items()))
        column = 2 if card['label'] in ('To the end of a story', 'Progress through stories') else 3
        self.assertEqual(sorted(row[column].split(' ')[0] for row in card['tables'][0]['rows']),
            sorted(self.was(before.get(name), written)[8:].split(' ')[0].replace('no', '–') for name in now))

    @staticmethod
    def was(row, written):
        if row is None or row['value'] is None:
            return 'before: suppressed' if row else 'before: no number'
        bounds = '' if row['reliability'] == 'exact' else f" ({written(row['low'])} to {written(row['high'])})"
        return f"before: {written(row['value'])}{bounds}"

    @staticmethod
    def is_clear(now, before):
        if before is None or before['value'] is None:
            return False
        half = [0 if row['reliability'] == 'exact' else max(row['high'] - row['value'], row['value'] - row['low']) for row in (now, before)]
        difference = abs(now['value'] - before['value'])
        return difference > math.hypot(*half) and (before['value'] == 0 or difference / before['value'] >= .005)

    def test_insights(self):
        insights = self.api('insights')['insights']
        cards = self.cards('#/insights?app=open')
        for insight in insights:
            card = cards[insight['metric'].replace('_', ' ').capitalize()]
            forecast = [table for table in card['tables'] if table['label'].startswith('Forecast')][0]
            self.assertEqual([row[1:] for row in forecast['rows']], [[count(step[name]) for name in ('value', 'low', 'high')] for step in insight['forecast']])
            anomalies = [table for table in card['tables'] if table['label'].startswith('Anomalies')]
            self.assertEqual(len(anomalies[0]['rows']) if anomalies else 0, len(insight['anomalies']))

    def test_privacy(self):
        budget = self.api('budget', app='noisy')
        found = self.view('#/privacy?app=noisy')
        self.assertEqual(found['violations'], [])
        self.assertIn(budget['explanation'], found['text'])
        months = [card for card in found['cards'] if card['label'] == 'Spent, by month'][0]['tables'][0]['rows']
        self.assertEqual([row[0] for row in months], [month(entry['month']) for entry in budget['months']])
        self.assertEqual([row[2] for row in months], [f"{entry['used_ratio'] * 100:.1f} %" for entry in budget['months']])
        for guarantee in budget['plan']['guarantees'].values():
            self.assertIn(f"ε {guarantee['epsilon']:.1f}", found['text'])
        self.assertIn('Another app of the population', found['text'])
        self.assertIn('Opt-outs 3 events dropped', found['text'])

    def test_pipeline(self):
        found = self.view('#/pipeline')
        health = json.loads(self.throng.ask('/health', self.operator)[1])
        checks = [card for card in found['cards'] if card['label'] == 'Checks'][0]['tables'][0]['rows']
        self.assertEqual([row[0] for row in checks], [name.replace('_', ' ').capitalize() for name in health['checks']])
        for word in ('Lag', 'Last release', 'Spool', 'Rejects by reason', 'Firing conditions'):
            self.assertIn(word, found['text'])
        without = self.drive('views', key=self.reader, fragments={'it': '#/pipeline?app=open'})['it']
        self.assertIn('has not the scope ops', without['text'])
        only = self.drive('views', key=self.operator, fragments={'it': '#/overview'})['it']
        self.assertEqual(only['heading'], 'Pipeline')

    def test_live(self):
        self.assertIn('throng app key open --test', self.view('#/live?app=open')['text'])
        key = self.throng.cli('app', 'key', 'noisy', '--test').strip().split()[-1]
        event = {'name': 'page_view', 'user': 'anna@example.org', 'ts': throng.now_ms(), 'props': {'page': '/story/17', 'device': 'mobile'}}
        throng.wait_for(lambda: self.throng.post({'events': []}, key, path='/v1/events?dry_run=1')[0] not in (401, 503), 30, 'the test key')
        self.assertEqual(self.throng.post({'key': key, 'events': [event, {**event, 'name': 'signup', 'props': {'method': 'email'}}, {**event, 'name': 'nothing'}]},
            headers={'Origin': 'http://localhost:8000', 'User-Agent': 'Mozilla/5.0'})[0], 202)
        found = self.drive('live', fragment='#/live?app=noisy', count=2)
        self.assertNotIn('anna', json.dumps(found))
        rows = found['cards'][0]['tables'][0]['rows']
        self.assertEqual({row[1].split(' ')[0] for row in rows}, {'page_view', 'signup'})
        self.assertIn('/story/:id', json.dumps(rows))
        self.assertIn('person 1', found['text'])

    def test_empty(self):
        found = self.view('#/overview?app=empty')
        for text in ('No numbers yet', '/v1/beacon.js', 'data-key=', 'throng app key empty --test'):
            self.assertIn(text, found['text'])

    def test_csv(self):
        fragments = {name: f'#/{name}?app=open&interval=week' for name in VIEWS if name != 'live'}
        found = self.drive('csv', fragments=fragments)
        self.assertEqual(set(found), set(fragments))
        rows = list(csv.DictReader(io.StringIO(found['overview']['text'])))
        api = self.api('metrics/active_users?interval=week')['rows']
        self.assertEqual([(row['period'], row['value'], row['reliability']) for row in rows],
            [(row['period'], str(row['value']), row['reliability']) for row in api[-len(rows):]])
        self.assertGreater(len(rows), 8)
        self.assertEqual(found['overview']['file'], 'open-active-users-week.csv')
        self.assertIn('cohort,n,', found['retention']['text'])
        self.assertIn('step,label', found['funnels']['text'])
        self.assertEqual(len(found['overview']['labels']), 9)

    def test_notes(self):
        """What an operator noted stands in the large chart and below it; without notes, and without their request's answer, nothing does."""
        days = [row['period'] for row in self.api('metrics/active_users?interval=day')['rows']]
        texts = {days[-1]: '<b>Release</b> 2.4 & more', days[-30]: 'A campaign began', days[0]: 'Out of the range', days[-31]: 'The day before'}
        for day, text in texts.items():
            self.throng.cli('note', 'add', '--app', 'open', '--day', day, text)
        found = self.drive('notes', fragment='#/overview?app=open', weeks='#/overview?app=open&interval=week', without='#/overview?app=noisy')
        written = {day: f'{int(day[8:])} {MONTHS[int(day[5:7]) - 1][:4 if day[5:7] == "09" else 3]} {day[:4]}' for day in texts}
        listed = [f'{written[day]} {texts[day]}' for day in (days[-1], days[-30], days[-31])]
        labels = [f'Note, {written[day]}: {texts[day]}' for day in (days[-31], days[-30], days[-1])]
        self.assertEqual(found['seen']['list'], listed)
        self.assertEqual('; '.join(found['seen']['flags']), '; '.join(labels))
        self.assertEqual((len(found['seen']['flags']), found['seen']['poles']), (2, 3), 'neighbours share a flag that a finger can meet')
        self.assertEqual((found['hovered'], found['tipInside'], found['closed']), ([listed[0]], True, []))
        self.assertTrue(found['readout'].endswith(' · ' + labels[-1]), found['readout'])
        self.assertEqual(found['focused'], ['; '.join(labels[:2]), [f'{listed[2]} {listed[1]}']])
        self.assertTrue(found['printed'])
        self.assertEqual(found['audits'], [])
        self.assertEqual((found['weeks']['list'], found['weeks']['sideways']), (listed, 0))
        whole = {row['period'] for row in self.api('metrics/active_users?interval=week')['rows']}
        weeks = [label for label, day in zip(labels, (days[-31], days[-30], days[-1])) if str(monday(day)) in whole]
        self.assertEqual('; '.join(found['weeks']['flags']), '; '.join(weeks), 'a week that is not over has no place in the chart')
        for name in ('without', 'failed'):
            self.assertEqual((found[name]['list'], found[name]['flags'], found[name]['poles']), ([], [], 0), name)
        self.assertEqual(found['failed']['charts'], found['seen']['charts'])
        self.assertNotIn('Later', found['failed']['text'])
        for name in ('seen', 'weeks', 'without', 'failed'):
            self.assertEqual(found[name]['violations'], [], name)

    # --- its readers ----------------------------------------------------------------------------------------------------

    def test_keyboard(self):
        found = self.drive('keyboard', overview='#/overview?app=open', retention='#/retention?app=open')
        rows = self.api('metrics/active_users?interval=day')['rows']
        self.assertEqual((found['first'], found['skipped']), ('Skip to the numbers', 'main'))
        self.assertIn('Distinct users with at least one event', found['popover'])
        self.assertIn(rows[-1]['audit_leaf'], found['popover'])
        self.assertIn('active_users v1', found['popover'])
        self.assertEqual((found['inside'], found['back']), ('popover', 'What Active users means'))
        self.assertIn(f": {count(rows[-1]['value'])} (", found['newest'])
        self.assertIn(f": {count(rows[-2]['value'])} (", found['before'])
        self.assertEqual((found['kept'], found['pressed']), ('range-4w', 'true'))
        self.assertNotEqual(*found['cells'])
        self.assertIn('Audit leaf', found['cell'])

    def test_accessible(self):
        fragments = {name: f'#/{name}?app=noisy' for name in VIEWS}
        fragments.update({'pages exact': '#/pages?app=open', 'compared': '#/overview?app=noisy&compare=1',
            **{f'{view} compared': f'#/{view}?app=open&compare=1&range=4w' for view in ('pages', 'funnels', 'outcomes')}, 'empty': '#/overview?app=empty'})
        for view, violations in self.drive('accessible', fragments=fragments).items():
            with self.subTest(view):
                self.assertEqual(violations, [])

    def test_phone(self):
        fragments = {name: f'#/{name}?app=noisy' for name in VIEWS}
        fragments.update({'pages exact': '#/pages?app=open&compare=1', 'funnels exact': '#/funnels?app=open&compare=1', 'empty': '#/overview?app=empty', 'dates': '#/overview?app=open&range=custom&from=2026-01-01&to=2026-02-01'})
        self.assertEqual({view: sideways for view, sideways in self.drive('phone', fragments=fragments).items() if sideways}, {})

    def test_link_keeps_the_view(self):
        found = self.drive('link', fragment='#/overview?app=open')
        for part in ('#/overview?', 'app=open', 'range=6m', 'compare=1', 'interval=week'):
            self.assertIn(part, found['address'])
        self.assertTrue(found['same'], 'whoever opens the link sees the same')
        self.assertNotIn('interval', found['back'])

    def test_themes(self):
        self.assertEqual(self.drive('themes', fragment='#/overview?app=open'), ['dark', 'light', 'light'])

    # --- its secrets ----------------------------------------------------------------------------------------------------

    def test_login(self):
        """A key lives in memory, and in the tab's storage if its reader says so; nowhere else."""
        for keep in (False, True):
            with self.subTest(keep=keep):
                found = self.drive('login', key='', fragment='#/overview?app=open', secret=self.reader, keep=keep)
                session, local, cookie = found['storage']
                self.assertEqual(found['refused'], 'This key is not known here.')
                self.assertEqual(found['heading'], 'Overview')
                self.assertEqual(list(session.values()), [self.reader] if keep else [])
                self.assertEqual((local, cookie, found['again'], found['after']), ({}, '', not keep, {}))
                self.assertNotIn(self.reader, found['address'])

    def test_proxy(self):
        found = self.drive('proxy', key='', user='vera', fragment='#/overview?app=open')
        self.assertEqual((found['heading'], found['logout']), ('Overview', False))
        self.assertEqual(found['violations'], [])

    def test_files(self):
        """What is served, without a key: page and files, as they are and compressed, under a policy that lets nothing else in."""
        folder = os.path.join(throng.SOURCE, 'api', 'dashboard', 'embedded')
        types = {'': 'text/html; charset=utf-8', 'dashboard.js': 'text/javascript; charset=utf-8', 'dashboard.css': 'text/css; charset=utf-8', 'inter.woff2': 'font/woff2',
            'icon.svg': 'image/svg+xml', 'licences.txt': 'text/plain; charset=utf-8'}
        for name, content_type in types.items():
            with self.subTest(name):
                with open(os.path.join(folder, name or 'index.html'), 'rb') as file:
                    raw = file.read()
                status, body, headers = self.throng.ask('/dashboard/' + name)
                self.assertEqual((status, headers['Content-Type']), (200, content_type))
                self.assertTrue(body == raw, 'the file as it is')
                self.assertEqual(headers['Content-Security-Policy'].split('; '), POLICY)
                self.assertEqual((headers['X-Content-Type-Options'], headers['Referrer-Policy'], headers['Cache-Control']), ('nosniff', 'no-referrer', 'no-cache'))
                status, small, packed = self.throng.ask('/dashboard/' + name, headers={'Accept-Encoding': 'gzip, br'})
                compressed = packed.get('Content-Encoding') == 'gzip'
                self.assertEqual((status, compressed), (200, name != 'inter.woff2'))
                self.assertTrue((gzip.decompress(small) if compressed else small) == raw, 'the same compressed')
                self.assertEqual(packed['ETag'] != headers['ETag'], compressed)
                status, body, again = self.throng.ask('/dashboard/' + name, headers={'If-None-Match': headers['ETag']})
                self.assertEqual((status, body, again['ETag']), (304, b'', headers['ETag']))
        self.assertEqual(self.throng.ask('/dashboard')[0], 308)
        self.assertEqual(self.throng.ask('/dashboard/', method='HEAD')[1], b'')
        self.assertEqual(self.throng.ask('/dashboard/', method='POST')[0], 405)
        for name in ('nothing', 'index.html.gz', '../gateway', 'dashboard.js/'):
            self.assertEqual(self.throng.ask('/dashboard/' + name)[0], 401, name)

    def test_pace(self):
        found = self.drive('pace', fragment='#/overview?app=noisy&range=13m')
        print(f"\n  13 months: {found['took']} ms until shown ({found['view']} ms of it for the numbers), {found['transferred']} bytes in {found['requests']} requests; "
            f"changes of range: {found['changes']} ms")
        self.assertLess(found['transferred'], 300 * 1024)


if __name__ == '__main__':
    missing = [what for what, there in (('chromium', CHROMIUM), ('node', NODE), ('npm ci in tests/dashboard', os.path.isdir(os.path.join(HERE, 'node_modules', 'axe-core'))))
        if not there]
    if missing:
        print('skipped: without ' + ', '.join(missing))
        sys.exit(throng.SKIP)
    throng.main()
