#!/usr/bin/python3
"""A real installation does what operators, people and readers do; then every leaf of its outbox must be as
compliance/audit/fields.def has its act, the leaves must mean what the database's own rows say, and the reports that are made of
them must be OSCAL 1.2.2 by its schema, and use only terms that DPV 2.3 has."""
import csv
import datetime
import json
import os
import subprocess
import tempfile
import unittest

import throng

TOOL = os.path.join(throng.BUILD, 'tests', 'unit.compliance.report.report')
VECTORS = os.path.join(throng.SHARED, 'vectors', 'tlog')
LEAVES = """SELECT convert_from(o.leaf, 'UTF8') FROM audit.outbox AS o LEFT JOIN audit.entry AS e USING (id)
    ORDER BY e.index NULLS LAST, o.written_at, o.id"""
LEDGER = """SELECT l.population, l.month::text, a.name, l.family, l.rho::text, l.leaf::text FROM release.ledger AS l
    JOIN config.app AS a USING (app) ORDER BY 1, 2, 3, 4"""
RELEASES = """SELECT r.population, a.name, r.family, r.item, r.interval, r.period::text, r.definition, r.leaf::text
    FROM release.release AS r JOIN config.app AS a USING (app) ORDER BY 1, 2, 3, 4, 5, 6"""


class Leaves(unittest.TestCase):
    maxDiff = None

    def live(self, installation):
        """What leaves acts in the trail."""
        installation.add_app('story', [{'name': 'view', 'kind': 'view'}, 'done'], privacy={'preset': 'standard'},
            features=[{'name': 'doing', 'events': ['done']}], purposes=['see how stories are used'],
            controller='Example operator', legal_basis='consent', recipients=['the team'])
        installation.add_app('open', ['view'], privacy={'preset': 'exact', 'allow_unprotected': True})
        installation.cli('key', 'add', '--scope', 'ingest:story')
        installation.cli('simulate', '--app', 'story', '--users', '120', '--days', '45', '--seed', '1', '--no-seal')
        through = str(datetime.date.today() - datetime.timedelta(days=3))
        installation.cli('seal', '--app', 'story', '--through', through, '--force')
        installation.wait_released('story', through, 120)
        made = json.loads(installation.cli('key', 'add', '--scope', 'read', '--json'))
        installation.cli('key', 'revoke', made['id'])

    def dump(self, installation, folder):
        definitions = os.path.join(folder, 'definitions')
        os.mkdir(definitions)
        leaves = [row[0] for row in installation.sql(LEAVES)]
        with open(os.path.join(folder, 'leaves'), 'w', encoding='utf-8', newline='') as file:
            file.writelines(leaf + '\n' for leaf in leaves)
        for digest, body in installation.sql("SELECT encode(hash, 'hex'), body::text FROM config.definition"):
            text = json.dumps(json.loads(body), sort_keys=True, separators=(',', ':'), ensure_ascii=False) # has no fractions
            with open(os.path.join(definitions, digest), 'w', encoding='utf-8') as file:
                file.write(text)
        for name, sql in (('ledger', LEDGER), ('releases', RELEASES)):
            with open(os.path.join(folder, name), 'w', encoding='utf-8', newline='') as file:
                rows = csv.writer(file, lineterminator='\n')
                rows.writerow(['head'])
                rows.writerows(installation.sql(sql))
        return [json.loads(leaf) for leaf in leaves]

    def check_oscal(self, out):
        with open(os.path.join(out, 'oscal', 'assessment-results.json'), encoding='utf-8') as file:
            document = json.load(file)
        self.assertEqual(document['assessment-results']['metadata']['oscal-version'], '1.2.2')
        path = os.path.join(VECTORS, 'oscal', 'oscal_complete_schema-1-2-2.json')
        try:
            import jsonschema
        except ImportError:
            return print('python3-jsonschema is not there: OSCAL is not held against its schema', flush=True)
        if not os.path.exists(path):
            return print('the OSCAL schema is not there', flush=True)
        with open(path, encoding='utf-8') as file:
            text = file.read()
        # The classes of Unicode that Python's expressions do not know.
        schema = json.loads(text.replace(r'\\p{L}', 'A-Za-z').replace(r'(A-Za-z', '([A-Za-z]').replace(r'\\p{N}', '0-9'))
        errors = list(jsonschema.Draft7Validator(schema).iter_errors(document))
        self.assertEqual([error.message[:300] for error in errors], [])

    def check_dpv(self, out):
        with open(os.path.join(out, 'report', 'processing.jsonld'), encoding='utf-8') as file:
            document = json.load(file)
        known = set()
        for name, prefix in (('dpv-2.3.csv', 'dpv:'), ('eu-gdpr-2.3.csv', 'eu-gdpr:')):
            path = os.path.join(VECTORS, 'dpv', name)
            if not os.path.exists(path):
                return print('the terms of DPV are not there', flush=True)
            with open(path, encoding='utf-8') as file:
                known |= {prefix + row['term'] for row in csv.DictReader(file)}
        used = set()

        def walk(value):
            if isinstance(value, dict):
                for key, part in value.items():
                    walk(key), walk(part)
            elif isinstance(value, list):
                for part in value:
                    walk(part)
            elif isinstance(value, str) and value.startswith(('dpv:', 'eu-gdpr:')):
                used.add(value)
        walk(document)
        self.assertGreater(len(used), 15)
        self.assertEqual(used - known, set())

    @unittest.skipUnless(os.path.exists(TOOL), 'the checker of leaves is not built')
    def test_outbox(self):
        with tempfile.TemporaryDirectory() as folder:
            with throng.Throng() as installation:
                self.live(installation)
                leaves = self.dump(installation, folder)
            acts = sorted({leaf['act'] for leaf in leaves})
            print(f'{len(leaves)} leaves: {", ".join(acts)}', flush=True)
            out = os.path.join(folder, 'out')
            run = subprocess.run([TOOL, *(os.path.join(folder, name) for name in ('leaves', 'definitions', 'ledger', 'releases')),
                out], capture_output=True, text=True, check=False)
            print(run.stdout[-6000:], flush=True)
            self.assertEqual((run.returncode, run.stderr), (0, ''), run.stdout[-4000:])
            self.check_oscal(out)
            self.check_dpv(out)


if __name__ == '__main__':
    unittest.main(verbosity=2)
