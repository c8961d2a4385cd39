"""Where something of a person still lies in an installation: in rows, or as bytes of any file."""
import os

import keyfile


def names(installation, app, *users):
    """Everything by which these people and their sessions (`session-of-USER`) could stand somewhere, by the keys that are there now."""
    with open(os.path.join(installation.data, 'secrets', 'seal'), encoding='utf-8') as file:
        keys = keyfile.read(os.path.join(installation.data, 'ingest', 'keys'), file.read().strip())
    return {keyfile.pseudonym(key, kind, text.format(user)) for user in users for key in keys[installation.app_id(app)]
        for kind, text in ((b'U', '{}'), (b'S', 'session-of-{}'))}


def files(installation, sought):
    """The installation's files in which one of the names lies, raw or in hexadecimal."""
    forms = [form for name in sought for form in (name, name.hex().encode(), name.hex().upper().encode())]
    hits = set()
    for folder, _, found in os.walk(installation.data):
        for file in found:
            path = os.path.join(folder, file)
            if not os.path.isfile(path):
                continue
            try:
                with open(path, 'rb') as opened:
                    content = opened.read()
            except OSError:
                continue
            if any(form in content for form in forms):
                hits.add(os.path.relpath(path, installation.data))
    return hits


def rows(installation, sought):
    """(schema, table, column) of every row that bears one of the names."""
    hits = []
    for schema, table, column in installation.sql("""SELECT n.nspname, c.relname, a.attname FROM pg_attribute a
            JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r' AND a.atttypid = 'bytea'::regtype AND a.attnum > 0
            AND n.nspname IN ('state', 'live', 'subject', 'release', 'audit', 'config')"""):
        if installation.sql(f'SELECT 1 FROM {schema}.{table} WHERE {column} = ANY (%s) LIMIT 1', (list(sought),)):
            hits.append((schema, table, column))
    return hits
