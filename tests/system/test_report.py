#!/usr/bin/python3
"""Pages for people: `throng report` and `throng publish` say what `throng query` says, of released rows only; suppressed is shown as
suppressed; the same releases give the same bytes; notes are shown and cannot break out of the page; Chromium prints it."""
import email
import html.parser
import json
import os
import re
import shutil
import stat
import unittest

import throng

CHROMIUM = shutil.which('chromium')
SAMPLE = os.path.join(throng.SOURCE, 'schema', 'apps', 'sample.json')
NOTE = 'Release 2.4 <b>"&\'</b><script>alert(1)</script>'


class Page(html.parser.HTMLParser):
    """What is in a page: tags that are open, links, texts of cards and tables."""
    VOID = ('meta', 'br')

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.cards, self.blocks, self.hidden, self.texts = [], set(), [], {}, {}, [], []
        self.card = self.block = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        self.links += [attrs[name] for name in ('href', 'src', 'action', 'data') if name in attrs]
        if 'card' in attrs.get('class', '').split():
            self.card = self.cards.setdefault(attrs['data-metric'], [])
        if 'block' in attrs.get('class', '').split():
            self.block = self.blocks.setdefault((attrs['data-metric'], attrs.get('data-item')), [])
        if 'data-suppressed' in attrs:
            self.hidden.append(attrs['data-suppressed'])
        if tag == 'tr' and self.block is not None:
            self.block.append([])
        if tag not in self.VOID:
            self.open.append((tag, attrs.get('class', '')))

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        was, css = self.open.pop()
        assert was == tag, f'{was} is closed by {tag}'
        if tag == 'div' and css == 'card':
            self.card = None
        if tag == 'div' and css == 'block':
            self.block = None

    def handle_data(self, data):
        data = data.strip()
        if data:
            self.texts.append(data)
            if self.card is not None:
                self.card.append(data)
            if self.block:
                self.block[-1].append(data)


def count(value):
    return f'{value:,.0f}'.replace('-', '\u2212')


def percent(value):
    return f'{100 * value:.1f} %'.replace('-', '\u2212')


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.throng = throng.Throng()
        cls.throng.__enter__()
        with open(SAMPLE, encoding='utf-8') as file:
            definition = json.load(file)
        for name, preset, users in (('guarded', {'preset': 'standard'}, 900), ('open', {'preset': 'exact', 'allow_unprotected': True}, 60)):
            # So late that no day is released by itself between a page and the question what it must show.
            definition |= {'name': name, 'title': f'The {name} <site>', 'privacy': preset, 'lateness_minutes': 2880}
            definition.pop('population', None)
            path = os.path.join(cls.throng.folder, name + '.json')
            with open(path, 'w', encoding='utf-8') as file:
                json.dump(definition, file)
            cls.throng.cli('app', 'add', path)
            cls.throng.add_key(name)
            cls.throng.cli('simulate', '--app', name, '--users', str(users), '--days', '45', '--seed', '3')
        cls.week = cls.rows('open', 'active_users')[-1]['period']
        year, number, _ = cls.date(cls.week).isocalendar()
        cls.period = f'{year}-W{number:02}'
        throng.wait_for(lambda: cls.throng.sql("SELECT 1 FROM audit.checkpoint c WHERE size > (SELECT max(e.index) FROM audit.entry e"
            " JOIN release.value v ON v.leaf = e.id)") and not cls.throng.sql('SELECT 1 FROM audit.pending'), 60, 'a checkpoint')

    @classmethod
    def tearDownClass(cls):
        cls.throng.__exit__(None, None, None)

    @staticmethod
    def date(text):
        return throng.datetime.date.fromisoformat(text)

    @classmethod
    def rows(cls, app, metric, *more, interval='week'):
        answer = json.loads(cls.throng.cli('query', '--app', app, metric, '--interval', interval, '--json', *more))
        return answer['rows']

    def page(self, app, period=None):
        return self.throng.cli('report', '--app', app, '--period', period or self.period)

    def test_numbers_are_those_of_query(self):
        for app in ('guarded', 'open'):
            page = Page(self.page(app))
            for metric, write in (('active_users', count), ('new_users', count), ('sessions', count), ('bounce_rate', percent),
                    ('engagement_rate', percent)):
                row = [row for row in self.rows(app, metric) if row['period'] == self.week][0]
                shown = page.cards[metric]
                if row['value'] is None:
                    self.assertIn('suppressed', shown)
                    continue
                self.assertIn(write(row['value']), shown, (app, metric))
                if row['low'] is not None and row['low'] < row['high']:
                    ends = write(row['low']).removesuffix(' %'), write(row['high'])
                    self.assertIn(' \u2013 '.join(ends), shown, (app, metric))

    def test_declared_things_are_those_of_query(self):
        page = Page(self.page('open'))
        for dimension in ('page', 'device', 'entry_page'):
            metric = 'dimension_users' if dimension != 'entry_page' else 'session_dimension_users'
            rows = [row for row in self.rows('open', 'active_users', '--by', dimension) if row['period'] == self.week]
            shown = {cells[0]: cells[1] for cells in page.blocks[(metric, dimension)][1:]}
            self.assertTrue(rows)
            self.assertEqual(shown, {row['class']: count(row['value']) for row in rows})
        steps = [cells for cells in page.blocks[('funnel', 'first_story')][1:]]
        rows = [row for row in self.rows('open', 'funnel/first_story')]
        newest = [row for row in rows if row['period'] == max(row['period'] for row in rows if row['period'] <= self.week)]
        self.assertEqual([cells[1] for cells in steps], [count(row['value']) for row in newest])
        self.assertIn('retention', self.page('open'))

    def test_suppressed_is_shown_as_suppressed(self):
        text = self.page('guarded')
        page = Page(text)
        rows = [row for row in self.rows('guarded', 'active_users', '--by', 'page') if row['period'] == self.week]
        hidden = [row['class'] for row in rows if row['value'] is None]
        self.assertTrue(hidden)
        cells = page.blocks[('dimension_users', 'page')]
        self.assertEqual(len(cells) - 1, len(rows) - len(hidden) + 1)
        self.assertEqual(cells[-1][-1], 'suppressed')
        for name in hidden:
            self.assertIn(name, cells[-1][0])
        self.assertIn('dimension_users', page.hidden)
        self.assertIn('What helps', text)
        self.assertIn('k = 11', text)
        self.assertRegex(text, r'\u03b5 = \d')
        self.assertNotIn('\u03b5 = ', self.page('open').split('How people are protected')[1].split('<footer')[0])

    def test_changes_are_honest(self):
        cards = Page(self.page('guarded')).cards
        for metric in ('active_users', 'new_users'):
            said = self.rows('guarded', metric)
            index = [i for i, row in enumerate(said) if row['period'] == self.week][0]
            now, before = said[index], said[index - 1]
            if metric == 'new_users' and None in (now['value'], before['value']):
                continue # one of them in some thousand is suppressed
            overlap = now['low'] <= before['high'] and before['low'] <= now['high']
            self.assertEqual('within noise' in ' '.join(cards[metric]), overlap, metric)
        self.assertNotIn('within noise', ' '.join(Page(self.page('open')).cards['sessions']))

    def test_it_stands_alone_and_is_the_same_twice(self):
        month = self.rows('open', 'active_users', interval='month')[-1]['period']
        for app, period in (('guarded', self.period), ('open', month[:7]), ('open', self.week)):
            text = self.page(app, period)
            page = Page(text)
            self.assertFalse(page.tags & {'script', 'link', 'img', 'iframe', 'object', 'form'})
            self.assertEqual(page.links, [])
            self.assertNotRegex(text, r'https?://|@import|\bnan\b|\binf\b')
            self.assertIn(f'The {app} &lt;site&gt;', text)
            self.assertFalse(page.open)
            if not self.throng.sql('SELECT 1 FROM audit.pending'):
                self.assertEqual(self.cut(text), self.cut(self.page(app, period)))

    @staticmethod
    def cut(text):
        """Without the foot: the newest checkpoint may be a newer one."""
        return text.split('<footer')[0]

    def test_the_checkpoint_is_that_of_the_log(self):
        foot = self.page('open').split('<footer')[1]
        notes = [bytes(note).decode().split('\n') for (note,) in self.throng.sql('SELECT note FROM audit.checkpoint', role='throng_read')]
        shown = re.findall(r'<code>([^<]*)</code>', foot)
        self.assertIn(shown[:3], [note[:3] for note in notes])

    def test_periods(self):
        for period in ('2026-W54', '2026-13', 'yesterday', '2026-02-30'):
            self.assertEqual(self.throng.run('report', '--app', 'open', '--period', period).returncode, 2)
        done = self.throng.run('report', '--app', 'open', '--period', '2031-W10')
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        self.assertIn('nothing of it is released', done.stderr)

    def test_notes(self):
        first = self.throng.cli('note', 'add', '--app', 'open', '--day', self.week, NOTE).split()[-1]
        gone = json.loads(self.throng.cli('note', 'add', '--app', 'open', '--day', self.week, 'gone', '--json'))['id']
        self.throng.cli('note', 'remove', gone)
        for text in ('', 'x' * 201, 'a\nb', 'a\x1b[31m'):
            self.assertEqual(self.throng.run('note', 'add', '--app', 'open', '--day', self.week, text).returncode, 2)
        self.assertEqual(self.throng.run('note', 'remove', gone).returncode, 1)
        self.assertEqual(self.throng.run('note', 'remove', "' OR true --").returncode, 1)
        listed = json.loads(self.throng.cli('note', 'list', '--app', 'open', '--json'))
        self.assertEqual(listed, [{'id': first, 'day': self.week, 'text': NOTE}])
        text = self.page('open')
        self.assertIn('&lt;b&gt;&quot;&amp;&#39;&lt;/b&gt;&lt;script&gt;', text)
        self.assertIn('class="marker"', text)
        self.assertIn(NOTE, Page(text).texts)
        self.assertNotIn('class="marker"', self.page('guarded'))
        key = self.throng.cli('key', 'add', '--scope', 'read:open').split()[-1]
        other = self.throng.cli('key', 'add', '--scope', 'read:guarded').split()[-1]
        throng.wait_for(lambda: self.throng.ask('/v1/apps/guarded/notes', other)[0] == 200, 10, 'the key')
        status, body, _ = self.throng.ask('/v1/apps/open/notes', key)
        self.assertEqual((status, json.loads(body)['notes']), (200, listed))
        self.assertEqual(self.throng.ask('/v1/apps/open/notes', other)[0], 404)
        self.assertEqual(self.throng.ask('/v1/apps/open/notes?x=1', key)[0], 400)
        self.assertEqual(self.throng.ask('/v1/apps/open/notes')[0], 401)
        self.throng.cli('note', 'remove', first)

    def tree(self, folder):
        found = {}
        for base, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(base, name)
                with open(path, 'rb') as file:
                    found[os.path.relpath(path, folder)] = file.read()
        return found

    def test_publish(self):
        folder = os.path.join(self.throng.folder, 'site')
        self.assertEqual(self.throng.run('publish', '--app', 'open', '--out', folder).returncode, 1)
        self.assertFalse(os.path.exists(folder))
        self.throng.cli('publish', '--app', 'guarded', '--out', folder + '/')
        first = self.tree(folder)
        self.throng.cli('publish', '--app', 'guarded', '--out', folder)
        self.assertEqual(first, self.tree(folder))
        self.assertEqual([name for name in os.listdir(self.throng.folder) if name.startswith('site')], ['site'])
        for page in ('index.html', 'embed.html'):
            parsed = Page(first[page].decode())
            self.assertFalse(parsed.tags & {'script', 'link', 'img', 'iframe'})
            for link in parsed.links:
                self.assertIn(link, first)
        files = json.loads(first['data/index.json'])['files']
        self.assertEqual({f'data/{name}' for name in files} | {'data/index.json', 'data/notes.json'},
            {name for name in first if name.startswith('data/')})
        self.assertIn('funnel-first_story.json', files)
        self.same_as_the_api(json.loads(first['data/active_users.json']))
        self.throng.cli('publish', '--app', 'open', '--out', folder, '--allow-unprotected')
        self.assertEqual(json.loads(self.tree(folder)['data/index.json'])['app'], 'open')
        other = os.path.join(self.throng.folder, 'mine')
        os.mkdir(other)
        with open(os.path.join(other, 'kept.txt'), 'w', encoding='utf-8') as file:
            file.write('kept')
        self.assertEqual(self.throng.run('publish', '--app', 'guarded', '--out', other).returncode, 1)
        self.assertEqual(self.tree(other), {'kept.txt': b'kept'})

    def same_as_the_api(self, document):
        key = self.throng.cli('key', 'add', '--scope', 'read:guarded').split()[-1]
        throng.wait_for(lambda: self.throng.ask('/v1/apps', key)[0] == 200, 10, 'the key')
        self.assertTrue(document['series'])
        newest = 0
        for series in document['series']:
            _, body, _ = self.throng.ask(f"/v1/apps/guarded/metrics/active_users?interval={series['interval']}", key)
            self.assertEqual(series['rows'], json.loads(body)['rows'])
            newest = max(newest, *(row['audit_index'] for row in series['rows']))
        with open(os.path.join(self.throng.folder, 'site', 'checkpoint.txt'), encoding='utf-8') as file:
            self.assertGreater(int(file.read().split('\n')[1]), newest)

    def program(self, folder, name, text):
        path = os.path.join(folder, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\n' + text)
        os.chmod(path, stat.S_IRWXU)

    def test_mail(self):
        folder = os.path.join(self.throng.folder, 'bin')
        os.mkdir(folder)
        before = self.throng.environment.get('PATH')
        self.throng.environment['PATH'] = folder + ':/usr/bin:/bin'
        try:
            self.program(folder, 'sendmail', f'printf "%s\\n" "$@" >{folder}/arguments; cat >{folder}/mail\n')
            self.throng.cli('report', '--app', 'open', '--period', self.period, '--mail', 'anna@example.org')
            for wrong in ('-f@example.org', 'a@b,c@d', 'a@b\nBcc: c@d'):
                self.assertEqual(self.throng.run('report', '--app', 'open', '--period', self.period, f'--mail={wrong}').returncode, 2)
            with open(folder + '/arguments', encoding='utf-8') as file:
                self.assertEqual(file.read().split('\n')[:-1], ['-i', '--', 'anna@example.org'])
            with open(folder + '/mail', 'rb') as file:
                message = email.message_from_binary_file(file)
            self.assertEqual((message['To'], message.get_content_type()), ('anna@example.org', 'multipart/mixed'))
            attached = message.get_payload()[1]
            self.assertEqual(attached.get_filename(), f'open-{self.period}.html')
            self.assertEqual(self.cut(attached.get_payload(decode=True).decode()), self.cut(self.page('open')))
            self.program(folder, 'sendmail', 'exit 75\n')
            self.assertEqual(self.throng.run('report', '--app', 'open', '--period', self.period, '--mail', 'anna@example.org').returncode, 1)
        finally:
            self.throng.environment.pop('PATH')
            if before is not None:
                self.throng.environment['PATH'] = before

    @unittest.skipUnless(CHROMIUM, 'no chromium')
    def test_chromium_prints_it(self):
        target = os.path.join(self.throng.folder, 'report.pdf')
        self.throng.cli('report', '--app', 'guarded', '--period', self.period, '--pdf', target)
        with open(target, 'rb') as file:
            printed = file.read()
        self.assertTrue(printed.startswith(b'%PDF-'))
        self.assertTrue(2 <= len(re.findall(rb'/Type\s*/Page\b', printed)) <= 8)

    def test_without_chromium_it_says_so(self):
        self.throng.environment['PATH'] = '/nowhere'
        try:
            done = self.throng.run('report', '--app', 'open', '--period', self.period, '--pdf', os.path.join(self.throng.folder, 'no.pdf'))
        finally:
            self.throng.environment.pop('PATH')
        self.assertEqual(done.returncode, 1)
        self.assertIn('Chromium', done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.throng.folder, 'no.pdf')))


if __name__ == '__main__':
    throng.main()
