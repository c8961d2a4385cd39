"""Requests and answers held against api/openapi.yaml: the operation must be described, its parameters and its answer's
status, headers, media type and body must be as the description says. Nothing that the description does not name passes."""
import gzip
import json
import os
import re
import urllib.parse

import jsonschema
import yaml

import throng

PATH = os.path.join(throng.SOURCE, 'api', 'openapi.yaml')
ALWAYS = {'date', 'content-length', 'content-type', 'cache-control', 'x-content-type-options', 'connection', 'vary', 'allow',
    'keep-alive'}


class Description:
    def __init__(self, path=PATH):
        with open(path, encoding='utf-8') as file:
            self.root = yaml.safe_load(file)
        self.resolver = jsonschema.RefResolver('', self.root)
        self.patterns = [(template, re.compile(re.sub(r'\\{\w+\\}', '[^/]+', re.escape(template))))
            for template in sorted(self.root['paths'], key=lambda text: text.count('{'))]
        self.used = set()

    def resolve(self, node):
        while '$ref' in node:
            node = self.resolver.resolve(node['$ref'])[1]
        return node

    def check(self, value, schema, what):
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver, format_checker=jsonschema.FormatChecker())
        for error in validator.iter_errors(value):
            raise throng.Failure(f'{what}: {"/".join(map(str, error.absolute_path))}: {error.message}'[:600])

    def template(self, path):
        """The template of a path, or None; one without variables goes first."""
        for template, pattern in self.patterns:
            if pattern.fullmatch(path):
                return template
        return None

    def find(self, path):
        """(template, path item) of a path."""
        template = self.template(path)
        if template is None:
            raise throng.Failure(f'{path} is not described')
        return template, self.root['paths'][template]

    def check_parameters(self, item, operation, query, headers):
        described = [self.resolve(p) for p in item.get('parameters', []) + operation.get('parameters', [])]
        known = {p['name']: p for p in described if p['in'] == 'query'}
        for name, value in query:
            if name not in known:
                raise throng.Failure(f'parameter {name} is not described')
            schema = self.resolve(known[name]['schema'])
            self.check(int(value) if schema.get('type') == 'integer' else value, schema, f'parameter {name}')
        named = {p['name'].lower() for p in described if p['in'] == 'header'} | {'accept', 'authorization', 'content-type'}
        for name in headers:
            if name.lower() not in named:
                raise throng.Failure(f'header {name} is not described')

    def check_headers(self, described, headers):
        given = {name.lower(): value for name, value in headers.items()}
        wanted = {name.lower(): self.resolve(header) for name, header in described.items()}
        for name, header in wanted.items():
            if name in given:
                self.check(given[name], header['schema'], f'header {name}')
            elif header.get('required'):
                raise throng.Failure(f'header {name} is missing')
        strange = set(given) - set(wanted) - ALWAYS
        if strange:
            raise throng.Failure(f'headers that are not described: {strange}')

    def check_body(self, content, body, headers):
        if body and headers.get('Content-Encoding') == 'gzip':
            body = gzip.decompress(body)
        media = headers.get('Content-Type', '').split(';')[0].strip()
        if not content:
            if body:
                raise throng.Failure('a body that is not described')
            return
        if media not in content:
            raise throng.Failure(f'media type {media} is not described')
        value = json.loads(body) if media.endswith('json') else body.decode('latin-1' if media in ('application/octet-stream', 'application/x-tar') else 'utf-8')
        self.check(value, content[media]['schema'], 'body')

    def check_exchange(self, method, target, sent_headers, sent_body, status, headers, body, valid=True):
        """Check one exchange. valid: the request too must be as described."""
        parts = urllib.parse.urlsplit(target)
        template, item = self.find(parts.path)
        operation = item.get(method.lower())
        if operation is None:
            raise throng.Failure(f'{method} {template} is not described')
        if valid:
            self.check_parameters(item, operation, urllib.parse.parse_qsl(parts.query), sent_headers)
            if sent_body is not None:
                self.check(sent_body, operation['requestBody']['content']['application/json']['schema'], 'request')
        response = operation['responses'].get(str(status))
        if response is None:
            raise throng.Failure(f'{method} {template}: status {status} is not described')
        response = self.resolve(response)
        try:
            self.check_headers(response.get('headers', {}), headers)
            self.check_body(response.get('content'), body, headers)
        except throng.Failure as failure:
            raise throng.Failure(f'{method} {target}: {status}: {failure}') from None
        self.used.add((method.upper(), template, str(status)))

    def operations(self, without=()):
        """All operations but those with one of the tags `without`."""
        return {(method.upper(), template) for template, item in self.root['paths'].items() for method in item
            if method in ('get', 'post', 'options', 'put', 'delete') and not set(item[method]['tags']) & set(without)}
