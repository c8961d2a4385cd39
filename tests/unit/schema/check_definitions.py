#!/usr/bin/python3
"""Hold schema/app.schema.json against the example apps and the table of definitions; definition_parse is held against the
same by test_definition. Exit status 77: the jsonschema module is not there."""
import json
import pathlib
import sys

try:
    import jsonschema
except ImportError:
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[3]


def load(path):
    return json.loads((ROOT / path).read_text())


def merge(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def main():
    schema = load("schema/app.schema.json")
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    table = load("tests/unit/schema/definitions.json")
    wrong = [f"{path.name}: refused" for path in (ROOT / "schema/apps").glob("*.json")
             if not validator.is_valid(json.loads(path.read_text()))]
    for case in table["cases"]:
        taken = validator.is_valid(merge(table["base"], case["patch"]))
        if taken != ("field" not in case or not case.get("schema", True)):
            wrong.append(f"{case['why']}: {'taken' if taken else 'refused'}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


sys.exit(main())
