#!/usr/bin/python3
"""Hold schema/app.schema.json against the example apps and the table of definitions; definition_parse is held against the
same by test_definition. Exit status 77: the jsonschema module is not there."""
import json
import pathlib
import re
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


LISTS = {"events": "APP_EVENTS_MAX", "routes": "APP_ROUTES_MAX", "origins": "APP_ORIGINS_MAX", "dimensions": "DIMENSIONS_MAX",
         "features": "FEATURES_MAX", "segments": "SEGMENTS_MAX", "goals": "GOALS_MAX", "funnels": "FUNNELS_MAX",
         "measures": "MEASURES_MAX", "outcomes": "OUTCOMES_MAX", "entities": "ENTITIES_MAX", "paths": "PATHS_MAX"}


def compare_limits(schema):
    """Lists may be as long as schema/limits.h says."""
    limits = dict(re.findall(r"#define (\w+_MAX) (\d+)", (ROOT / "schema/limits.h").read_text()))
    longest = {name: schema["properties"][name]["maxItems"] for name in LISTS}
    wrong = [f"{name}: {longest[name]} items, not {limits[LISTS[name]]}" for name in LISTS
             if longest[name] != int(limits[LISTS[name]])]
    inner = [("funnels", "steps", "FUNNEL_STEPS_MAX"), ("outcomes", "tiers", "OUTCOME_TIERS_MAX"),
             ("dimensions", "values", "DIMENSION_VALUES_MAX"), ("paths", "values", "DIMENSION_VALUES_MAX")]
    for outer, member, limit in inner:
        items = schema["properties"][outer]["items"]["properties"][member]["maxItems"]
        if items != int(limits[limit]):
            wrong.append(f"{outer}.{member}: {items} items, not {limits[limit]}")
    return wrong


def main():
    schema = load("schema/app.schema.json")
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    table = load("tests/unit/schema/definitions.json")
    wrong = [f"{path.name}: refused" for path in (ROOT / "schema/apps").glob("*.json")
             if not validator.is_valid(json.loads(path.read_text()))]
    wrong += compare_limits(schema)
    for case in table["cases"]:
        taken = validator.is_valid(merge(table["base"], case["patch"]))
        if taken != ("field" not in case or not case.get("schema", True)):
            wrong.append(f"{case['why']}: {'taken' if taken else 'refused'}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


sys.exit(main())
