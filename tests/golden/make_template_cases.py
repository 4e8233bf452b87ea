#!/usr/bin/env python3
"""Makes templates/*.json: what Jinja2 itself renders, set up as Hugging Face sets it up for chat templates.

  make_template_cases.py          writes templates/snippets.json and one templates/NAME.json for each templates/NAME.jinja

A case is {"case", "template" or none, "context", "expected" or "error"}; "error" means that Jinja2 refuses, the wording is free.
Needs jinja2 (3.1.6 was used). Time stands still at 2025-01-02 03:04:05.
"""
import json
from datetime import datetime
from pathlib import Path

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

FOLDER = Path(__file__).resolve().parent / "templates"


class Generation(Extension):
    """{% generation %} marks what the model wrote, for training; it prints its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_print"), [], [], body).set_lineno(line)

    def _print(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: datetime(2025, 1, 2, 3, 4, 5).strftime(form)
    return env


def render(env, template, context):
    try:
        return {"expected": env.from_string(template).render(**context)}
    except Exception as error:  # a refusal is a result too
        return {"error": f"{type(error).__name__}: {error}"}


# The context of all snippets.
CONTEXT = {
    "n": 7, "zero": 0, "half": 0.5, "neg": -7, "big": 1e300, "yes": True, "no": False, "nothing": None, "empty": "",
    "s": "  Hello, World  ", "name": "Ada", "cjk": "你好，世界", "emoji": "a👍🏽é", "quotes": "it's \"so\"", "lines": "a\nb\r\n\n c",
    "list": [3, 1, 2], "mixed": [1, "a", None, 2.5, True, [], {}], "words": ["pear", "Apple", "fig", "apple"],
    "d": {"b": 1, "a": {"x": [1, 2]}, "items": "shadowed", "中": "文"}, "nested": {"a": {"b": {"c": "deep"}}},
    "people": [{"name": "Ada", "age": 36, "tags": ["x"]}, {"name": "Bob", "age": 9}, {"name": "cy", "age": 36, "nick": None}],
    "code": "print('x')\nif y:\n    z\n\n", "ctrl": "\u0001\t\u007f\u2028\u00a0",
}

SNIPPETS = {
    "arithmetic": """
{{ 1 + 2 * 3 - 4 }}|{{ (1 + 2) * 3 }}|{{ 7 / 2 }}|{{ 6 / 2 }}|{{ 7 // 2 }}|{{ -7 // 2 }}|{{ 7 // -2 }}|{{ -7 % 3 }}|{{ 7 % -3 }}
{{ 7.5 // 2 }}|{{ -7.5 // 2 }}|{{ -7.5 % 2 }}|{{ 7.5 % -2 }}|{{ 2 ** 10 }}|{{ 2 ** -1 }}|{{ 2 ** 3 ** 2 }}|{{ -2 ** 2 }}|{{ 4 ** 0.5 }}
{{ 1 + 1.0 }}|{{ true + true }}|{{ n + half }}|{{ 10 % 4.5 }}|{{ 0.1 + 0.2 }}|{{ 1e16 }}|{{ 1e15 }}|{{ 1.5e-5 }}|{{ 0.0001 }}|{{ big }}|{{ 1_000 }}|{{ 1.0 }}
{{ -n }}|{{ +n }}|{{ - -n }}|{{ -half }}|{{ not n }}|{{ not not n }}|{{ -n|abs }}|{{ (-n)|abs }}|{{ -0.0 }}|{{ 123456789.125 }}|{{ 1e22 }}|{{ 5e-324 }}
{{ 'ab' * 3 }}|{{ 3 * 'ab' }}|{{ 'ab' * -1 }}|{{ [1, 2] * 2 }}|{{ (1,) * 3 }}|{{ [1] + [2] }}|{{ (1,) + (2,) }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ 1.0 // 0 }}
{{ 0 ** -1 }}
{{ 'a' + 1 }}
{{ 'a' + [1] }}
{{ [1] + (2,) }}
{{ 1 + none }}
{{ missing + 1 }}
{{ -'a' }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1, 'x'] ~ missing ~ 2 }}|{{ 1 ~ 2 * 3 }}|{{ 'a' ~ 'b' * 2 }}
{{ 1 ~ 2 + 3 }}
""",
    "comparison": """
{{ 1 < 2 < 3 }}|{{ 1 < 3 < 2 }}|{{ 3 > 2 >= 2 == 2 != 1 }}|{{ 1 == 1.0 }}|{{ 1 == true }}|{{ 'a' < 'b' }}|{{ 'a' == 1 }}|{{ none == false }}
{{ [1, 2] == [1, 2] }}|{{ [1, 2] == (1, 2) }}|{{ [1, 2] < [1, 3] }}|{{ (1,) < (1, 0) }}|{{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }}|{{ [1] != [1.0] }}
{{ 'ell' in s }}|{{ '' in s }}|{{ 'x' not in s }}|{{ 1 in list }}|{{ 9 in list }}|{{ 'a' in d }}|{{ 'x' in d }}|{{ 2 in (1, 2) }}|{{ 1 in {1: 2} }}|{{ true in [1] }}
{{ 'a' in missing }}|{{ missing == missing2 }}|{{ missing == none }}|{{ missing == '' }}|{{ '好' in cjk }}|{{ 3 in range(5) }}|{{ 'b' in d.keys() }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ 1 in 'abc' }}
{{ 1 in none }}
{{ 1 in 5 }}
{{ missing < 1 }}
{{ {} < {} }}
{{ [] in {} }}
{{ 9007199254740993 == 9007199254740992.0 }}|{{ 1 if 2 > 1 else 0 }}
""",
    "logic": """
{{ 1 and 2 }}|{{ 0 and 2 }}|{{ 0 or 'x' }}|{{ '' or none }}|{{ 1 or missing.x }}|{{ not '' }}|{{ not [] }}|{{ not {} }}|{{ not 0.0 }}|{{ not missing }}|{{ not 'a' in s }}
{{ 1 or 0 and 0 }}|{{ (1 or 0) and 0 }}|{{ not 1 == 2 }}|{{ yes and no or n }}|{{ missing or 'fallback' }}|{{ nothing or zero or empty or 'last' }}
{{ 'a' if yes else 'b' }}|{{ 'a' if no else 'b' }}|[{{ 'a' if no }}]|{{ 'a' if no else 'b' if no else 'c' }}|{{ ('x' if no) is defined }}|{{ 1 if missing is defined else 2 }}
{{ ('x' if no).y }}
{{ 'a' 'b' "c" }}|{{ "\\n\\t\\\\\\x41\\u00e9\\U0001F44D\\'\\"\\q\\101" }}|{{ 'é'|length }}|{{ "a{{ b }}" }}|{{ '%}' }}|{{ {'a': {'b': 1}}['a']['b'] }}
""",
    "names": """
{{ name }}|{{ missing }}|{{ none }}|{{ None }}|{{ true }}|{{ True }}|{{ false }}|{{ nothing }}|{{ d.b }}|{{ d['b'] }}|{{ d.a.x[1] }}|{{ d.missing }}|{{ d['missing'] }}|{{ d.中 }}
{{ d.items() }}|{{ d['items'] }}|{{ nested.a.b.c }}|{{ nested['a']['b'].c }}|{{ list.0 }}|{{ list[0] }}|{{ list[-1] }}|{{ list[9] }}|{{ list['x'] }}|{{ list[true] }}|{{ name[0] }}|{{ name[-1] }}|{{ name[9] }}|{{ cjk[1] }}
{{ none.x }}|{{ 5 .x }}|{{ name.x }}|{{ list.x }}|{{ d.get('b') }}|{{ d.get('q') }}|{{ d.get('q', 5) }}|{{ d.get('q', default) }}|{{ d.update is defined }}|{{ list.append is defined }}|{{ name.upper is callable }}
{{ missing.x }}
{{ missing['x'] }}
{{ missing() }}
{{ missing[0:1] }}
{{ d.missing.x }}
{{ name() }}
{{ d.update({'x': 1}) }}
{{ list.append(1) }}
{{ {[]: 1} }}
{{ {'a': 1, 'a': 2, 1: 'one', 1.0: 'uno', (1, 2): 't'} }}|{{ {1: 'x'}[1.0] }}|{{ {none: 1}[none] }}
""",
    "slices": """
{{ list[1:] }}|{{ list[:2] }}|{{ list[:-1] }}|{{ list[::-1] }}|{{ list[::2] }}|{{ list[5:] }}|{{ list[-100:100] }}|{{ list[2:0:-1] }}|{{ list[:] }}|{{ list[none:none] }}|{{ (1, 2, 3)[1:] }}
{{ name[1:] }}|{{ name[::-1] }}|{{ cjk[1:3] }}|{{ cjk[::-1] }}|{{ emoji[::2] }}|{{ s[2:7] }}|{{ name[:100] }}|{{ name[-2:] }}|{{ name[2:1] }}|{{ name[::-2] }}|{{ list[1:2][0] }}|{{ list[0:1:100] }}|{{ list[::-100] }}
{{ list[::0] }}
{{ d[1:] }}
{{ n[1:] }}
{{ nothing[1:] }}
{{ list['a':] }}
{{ list[1.5] }}
""",
    "printing": """
{{ list }}|{{ mixed }}|{{ d }}|{{ (1,) }}|{{ () }}|{{ (1, 'a') }}|{{ [] }}|{{ {} }}|{{ quotes }}|{{ [quotes] }}|{{ ["it's"] }}|{{ ['"'] }}|{{ [lines] }}|{{ [ctrl] }}|{{ [emoji, cjk] }}|{{ ['back\\\\slash'] }}
{{ range(3) }}|{{ range(0, 6, 2) }}|{{ d.keys() }}|{{ d.values() }}|{{ [missing] }}|{{ [1.0, 1e100, -0.5] }}|{{ {'k': [1, {'z': none}]} }}|{{ namespace(a=1, b='x') }}|{{ 1, 2 }}|{{ [true, none] }}
{{ d|string }}|{{ none|string }}|{{ 1.50|string }}|{{ [1]|string|length }}|{{ true|string|upper }}
""",
    "json": """
{{ d|tojson }}|{{ mixed|tojson }}|{{ quotes|tojson }}|{{ ctrl|tojson }}|{{ emoji|tojson }}|{{ emoji|tojson(ensure_ascii=true) }}|{{ emoji|tojson(True) }}|{{ '</script>&\\''|tojson }}
{{ d|tojson(indent=2) }}
{{ d|tojson(indent=4, ensure_ascii=True, sort_keys=False) }}
{{ {'b': 1, 'a': [], 'c': {}}|tojson(indent=0, sort_keys=true) }}
{{ {'b': [1, 2], 'a': 1}|tojson(separators=(',', ':')) }}|{{ {'b': [1, 2]}|tojson(indent=1, separators=(',', '=')) }}|{{ [1, [2]]|tojson(indent='--') }}|{{ [1]|tojson(indent=-1) }}|{{ d|tojson(indent=none) }}
{{ 1.0|tojson }}|{{ 1e100|tojson }}|{{ none|tojson }}|{{ true|tojson }}|{{ (1, 2)|tojson }}|{{ {1: 2, none: 3, true: 4, 1.5: 6}|tojson }}|{{ ''|tojson }}|{{ lines|tojson }}|{{ d|tojson|safe }}
{{ missing|tojson }}
{{ range(3)|tojson }}
{{ {(1, 2): 3}|tojson }}
{{ d.items()|tojson }}
{{ people|map(attribute='name')|tojson }}
{{ {1: 2, 'a': 3}|tojson(sort_keys=true) }}
{{ d|tojson(nonsense=1) }}
""",
    "text_filters": """
[{{ s|trim }}]|[{{ 'xxaxx'|trim('x') }}]|[{{ ' a '|trim() }}]|{{ name|upper }}|{{ name|lower }}|{{ 'hELLO wORLD'|capitalize }}|{{ "hello wor-ld (foo) it's"|title }}|{{ 'straße'|upper }}|{{ 'ÀÉ'|lower }}|{{ 5|upper }}|{{ none|upper }}|{{ missing|upper }}
{{ name|replace('A', 'E') }}|{{ 'aaa'|replace('a', 'b', 2) }}|{{ 'abc'|replace('', '-') }}|{{ 'a1'|replace(1, 2) }}|{{ name|length }}|{{ cjk|length }}|{{ emoji|length }}|{{ cjk|count }}|{{ name|reverse }}|{{ emoji|reverse }}|{{ cjk|first }}|{{ cjk|last }}|{{ 'cab'|sort }}|{{ 'aba'|unique|list }}
[{{ code|indent }}]|[{{ code|indent(2, true) }}]|[{{ code|indent(2, blank=true) }}]|[{{ code|indent(width='> ', first=True) }}]|[{{ ''|indent }}]|[{{ 'a'|indent }}]
{{ 5|indent }}
{{ name|safe }}|{{ 5|safe }}|{{ name|default('x') }}|{{ missing|default('x') }}|{{ missing|default }}|{{ empty|default('x') }}|{{ empty|default('x', true) }}|{{ none|default('x') }}|{{ none|d('x', boolean=true) }}
{{ missing.x is defined }}
{{ missing|d('x') }}|{{ d.zz|default([])|length }}|{{ name|list }}|{{ name|join('-') }}|{{ missing|length }}|{{ missing|list }}|{{ missing|join(',') }}|[{{ missing|first }}]|[{{ missing|trim }}]
{{ none|length }}
{{ 5|length }}
{{ name|trim(1, 2) }}
""",
    "sequence_filters": """
{{ list|join }}|{{ list|join(', ') }}|{{ people|join(', ', attribute='name') }}|{{ people|join(d='/', attribute='age') }}|{{ mixed|join('|') }}|{{ d|join(',') }}|{{ list|first }}|{{ list|last }}|{{ []|first }}|{{ []|last }}|{{ d|first }}|{{ d|last }}|{{ range(5)|last }}
{{ list|sort }}|{{ list|sort(reverse=true) }}|{{ words|sort }}|{{ words|sort(case_sensitive=true) }}|{{ people|sort(attribute='age')|map(attribute='name')|list }}|{{ people|sort(attribute='age', reverse=true)|map(attribute='name')|list }}|{{ people|sort(attribute='age,name')|map(attribute='name')|join }}
{{ words|unique|list }}|{{ words|unique(case_sensitive=true)|list }}|{{ people|unique(attribute='age')|map(attribute='name')|list }}|{{ [1, 1.0, true, 2]|unique|list }}|{{ list|min }}|{{ list|max }}|{{ words|min }}|{{ words|max }}|{{ []|max }}|{{ people|max(attribute='age') }}|{{ words|max(case_sensitive=true) }}
{{ list|sum }}|{{ [0.1, 0.2]|sum }}|{{ people|sum(attribute='age') }}|{{ [[1], [2]]|sum(start=[]) }}|{{ []|sum }}|{{ list|reverse|list }}|{{ list|length }}|{{ d|length }}|{{ d|list }}|{{ d|items|list }}|{{ missing|items|list }}|{{ range(4)|length }}|{{ d.items()|length }}|{{ d.values()|list }}
{{ d|dictsort }}|{{ {'b': 1, 'A': 2, 'c': 0}|dictsort }}|{{ {'b': 1, 'A': 2, 'c': 0}|dictsort(true) }}|{{ {'b': 1, 'A': 2, 'c': 0}|dictsort(false, 'value') }}|{{ {'b': 1, 'A': 2}|dictsort(reverse=true) }}
{{ list|select('odd')|list }}|{{ list|reject('odd')|list }}|{{ mixed|select|list }}|{{ mixed|reject|list }}|{{ mixed|select('string')|list }}|{{ list|select('>', 1)|list }}|{{ list|reject('equalto', 1)|join(',') }}|{{ list|select('in', [1, 3])|list }}|{{ missing|select|list }}
{{ people|selectattr('nick', 'defined')|map(attribute='name')|list }}|{{ people|rejectattr('nick', 'defined')|map(attribute='name')|list }}|{{ people|selectattr('tags')|list|length }}|{{ people|selectattr('age', 'equalto', 36)|map(attribute='name')|join(', ') }}|{{ people|selectattr('age', 'gt', 10)|list|length }}
{{ words|map('upper')|list }}|{{ words|map('replace', 'p', 'q')|join(' ') }}|{{ people|map(attribute='nick', default='-')|list }}|{{ people[:1]|map(attribute='tags.0')|list }}|{{ [[1, 2], [3]]|map('first')|list }}|{{ words|map('length')|sum }}|{{ words|map('indent', width=2, first=true)|join }}
{% set g = words|map('upper') %}{{ g|first }}|{{ g|list }}|{{ g|list }}|{{ 'x' in g }}
{% set g = words|select %}{% for w in g %}{{ w }},{% endfor %}{% for w in g %}never{% else %}consumed{% endfor %}
{{ words|map('upper')|length }}
{{ words|map('upper')|last }}
{{ list|items|list }}
{{ 5|list }}
{{ none|join }}
{{ [1, 'a']|sort }}
{{ [[1]]|unique|list }}
{{ words|selectattr }}{{ words|selectattr|list }}
[{{ missing|last }}]|{{ missing|reverse|list }}|{{ missing|sort }}|{{ missing|sum }}|{{ missing|unique|list }}|{{ missing|max }}|{{ missing|map('upper')|list }}
{{ {'a': 1}|sum }}
""",
    "number_filters": """
{{ '12'|int }}|{{ ' 12 '|int }}|{{ '12.7'|int }}|{{ '-3'|int }}|{{ '+4'|int }}|{{ 'x'|int }}|{{ 'x'|int(5) }}|{{ 3.9|int }}|{{ -3.9|int }}|{{ true|int }}|{{ none|int }}|{{ [1]|int(default=9) }}|{{ 'ff'|int(base=16) }}|{{ '1_000'|int }}|{{ '1e3'|int }}|{{ 'inf'|int }}|{{ ''|int }}|{{ '_1'|int }}
{{ '1.5'|float }}|{{ 'x'|float }}|{{ 'x'|float(2.5) }}|{{ 3|float }}|{{ none|float }}|{{ '1e3'|float }}|{{ ' 2 '|float }}|{{ 'nan'|float }}|{{ '-inf'|float }}|{{ neg|abs }}|{{ -1.5|abs }}|{{ true|abs }}
{{ 2.5|round }}|{{ 3.5|round }}|{{ 2.567|round(2) }}|{{ 2.5|round|int }}|{{ 2.1|round(0, 'ceil') }}|{{ 2.9|round(method='floor') }}|{{ 1234|round(-2) }}|{{ 1250|round(-2) }}|{{ 1350|round(-2) }}|{{ 7|round }}|{{ 2.675|round(2) }}|{{ 1234.5|round(-2) }}|{{ -2.5|round }}|{{ 42.55|round(1, 'floor') }}
{{ 'a'|abs }}
{{ 'a'|round }}
{{ 1|round(1, 'odd') }}
{{ missing|int }}
{{ missing|round }}
""",
    "tests": """
{{ name is defined }}|{{ missing is defined }}|{{ missing is undefined }}|{{ d.q is defined }}|{{ d.b is defined }}|{{ none is none }}|{{ missing is none }}|{{ name is string }}|{{ n is number }}|{{ true is number }}|{{ n is integer }}|{{ true is integer }}|{{ half is float }}|{{ n is float }}|{{ true is boolean }}|{{ 1 is boolean }}
{{ d is mapping }}|{{ list is mapping }}|{{ list is iterable }}|{{ name is iterable }}|{{ d is iterable }}|{{ n is iterable }}|{{ none is iterable }}|{{ missing is iterable }}|{{ list is sequence }}|{{ name is sequence }}|{{ d is sequence }}|{{ n is sequence }}|{{ missing is sequence }}|{{ range(2) is sequence }}|{{ d.items() is sequence }}|{{ d.items() is iterable }}|{{ list|map('string') is iterable }}
{{ true is true }}|{{ 1 is true }}|{{ false is false }}|{{ 0 is false }}|{{ none is false }}|{{ 3 is odd }}|{{ 3 is even }}|{{ 9 is divisibleby 3 }}|{{ 9 is divisibleby(2) }}|{{ 1 is eq 1 }}|{{ 1 is equalto(1) }}|{{ 1 is ne 2 }}|{{ 1 is lt 2 }}|{{ 2 is ge 2 }}|{{ 1 is in [1, 2] }}|{{ 'a' is in 'abc' }}|{{ 1 is sameas 1 }}|{{ 'ab' is lower }}|{{ 'aB' is upper }}|{{ range is callable }}|{{ name is callable }}|{{ missing is callable }}
{{ name is not defined }}|{{ missing is not defined }}|{{ name is string and n is number }}|{{ not name is string }}|{{ name is string or missing.x }}|{{ 1 is eq 1 == true }}|{{ 'x' if name is defined else 'y' }}|{{ list is not mapping and list is not string }}|{{ -1 is number }}|{{ n is not none }}
{{ 'a' is odd }}
{{ name is eq }}
{{ missing is odd }}
{{ 1 is in 5 }}
""",
    "methods": """
[{{ s.strip() }}]|[{{ s.lstrip() }}]|[{{ s.rstrip() }}]|{{ 'xxaxx'.strip('x') }}|{{ 'xyaxy'.lstrip('yx') }}|{{ 'abc\\n\\n'.rstrip('\\n') }}|[{{ '　你 '.strip() }}]|{{ 'a,b,c'.split(',') }}|{{ 'a,b,c'.split(',', 1) }}|{{ ' a  b '.split() }}|{{ ' a  b  c '.split(none, 1) }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ ' a  b  c '.rsplit(maxsplit=1) }}|{{ 'aaa'.rsplit('aa') }}|{{ ''.split() }}|{{ ''.split(',') }}|{{ 'abc'.split('</think>')[-1] }}
{{ name.startswith('A') }}|{{ name.endswith(('x', 'da')) }}|{{ name.startswith('') }}|{{ name.upper() }}|{{ name.lower() }}|{{ "they're bill's 3x"|title }}|{{ "they're bill's 3x".title() }}|{{ 'hELLO'.capitalize() }}|{{ 'aaa'.replace('a', 'b') }}|{{ 'aaa'.replace('a', 'b', 1) }}|{{ 'abc'.replace('', '.') }}|{{ ', '.join(words) }}|{{ '-'.join('abc') }}|{{ ''.join([]) }}|{{ ' '.join(d) }}
{{ cjk.find('世') }}|{{ cjk.find('x') }}|{{ 'abcabc'.rfind('bc') }}|{{ 'abc'.index('c') }}|{{ 'aaaa'.count('aa') }}|{{ 'abc'.count('') }}|{{ '12'.isdigit() }}|{{ ''.isdigit() }}|{{ 'ab'.isalpha() }}|{{ 'a1'.isalnum() }}|{{ ' '.isspace() }}|{{ 'AB1'.isupper() }}|{{ '1'.isupper() }}|{{ 'ab'.islower() }}|{{ 'Foo'.removeprefix('F') }}|{{ 'Foo'.removesuffix('o') }}|{{ 'Foo'.removeprefix('x') }}
{{ lines.splitlines() }}|{{ lines.splitlines(true) }}|{{ 'a=b=c'.partition('=') }}|{{ 'a=b=c'.rpartition('=') }}|{{ 'abc'.partition('=') }}|{{ 'abc'.rpartition('=') }}|{{ list.index(1) }}|{{ list.count(3) }}|{{ (1, 1).count(1) }}|{{ d.keys()|list }}|{{ d.values()|list }}|{{ d.copy() == d }}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}|{{ d.items()|list|first }}|{{ d.keys()|join(',') }}
{{ 'a'.split('') }}
{{ ','.join([1]) }}
{{ 'a'.index('x') }}
{{ name.startswith(1) }}
{{ name.upper(1) }}
{{ name.nosuch() }}
{{ list.index(99) }}
{{ d.get() }}
{{ d.get([]) }}
{{ 'abc'.replace('a') }}
""",
    "functions": """
{{ range(3)|list }}|{{ range(1, 4)|list }}|{{ range(5, 0, -2)|list }}|{{ range(0)|list }}|{{ range(3)[1] }}|{{ range(3)[-1] }}|{{ dict(a=1, b='x') }}|{{ dict({'a': 1}, b=2) }}|{{ dict([['a', 1]]) }}|{{ strftime_now('%Y-%m-%d') }}|{{ strftime_now('%d %b %Y, %A %B %H:%M:%S %j %y %p %I %%') }}|{{ strftime_now('%-d/%-m') }}
{% set ns = namespace(a=1) %}{{ ns.a }}|{% set ns.a = ns.a + 1 %}{{ ns.a }}|{{ ns.b }}|{% set ns.b = 'x' %}{{ ns.b }}|{{ ns['a'] }}|{{ ns is mapping }}|{{ ns is defined }}|{{ ns.c is defined }}
{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{% set ns.self = ns %}{{ ns.self.self.a }}
{{ raise_exception('stop: ' ~ name) }}
{{ raise_exception() }}
{% if no %}{{ raise_exception('never') }}{% endif %}fine
{{ range(0, 1, 0) }}
{{ range('a') }}
{{ range(10000000) }}
{% set x = {'a': 1} %}{% set x.a = 2 %}
{% set missing.a = 2 %}
""",
    "loops": """
{% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.cycle('a', 'b') }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}
{% for x in [] %}never{% else %}empty{% endfor %}|{% for x in list %}{{ x }}{% else %}never{% endfor %}|{% for x in missing %}never{% else %}none{% endfor %}
{% for x in list if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}|{% for x in list if x > 9 %}never{% else %}filtered{% endfor %}|{% for p in people if p.nick is defined %}{{ p.name }}{% endfor %}
{% for a, b in [(1, 2), [3, 4]] %}{{ a }}-{{ b }} {% endfor %}|{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}|{% for k, v in d|items %}{{ k }}{% if not loop.last %},{% endif %}{% endfor %}|{% for c in cjk %}[{{ c }}]{% endfor %}|{% for k in d %}{{ k }} {% endfor %}|{% for a, b in ['xy'] %}{{ b }}{{ a }}{% endfor %}
{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}|{% for x in [1] %}{% break %}{% else %}left early{% endfor %}|{% for x in [1, 2] %}{% continue %}{% else %}all left early{% endfor %}
{% for x in [1, 2] %}{% for y in [1, 2] %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }};{% endfor %}|{% for x in 1, 2, 3 %}{{ x }}{% endfor %}|{% for x in list[::-1] %}{{ x }}{% endfor %}|{% for x in (list if yes else []) %}{{ x }}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}
{% for a, b in [1] %}{{ a }}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for x in none %}{% endfor %}
{{ loop }}|{{ loop is defined }}|{% for x in [1] %}{{ loop is defined }}{{ loop.nosuch }}{% endfor %}
""",
    "scopes": """
{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}|{% if yes %}{% set x = 9 %}{% endif %}{{ x }}
{% for i in [1] %}{% set inner = i %}{% endfor %}{{ inner is defined }}|{% set a, b = 1, 2 %}{{ a }}{{ b }}|{% set t = 1, 2 %}{{ t }}|{% set (c, e) = 'xy' %}{{ c }}{{ e }}
{% set x %}a {{ name }} b{% endset %}[{{ x }}]|{% set y | upper | replace('A', '4') %}abc{% endset %}{{ y }}|{% set z %}{% set name = 'inner' %}{{ name }}{% endset %}{{ z }}{{ name }}|{{ x is string }}
{% set ns = namespace(found=false) %}{% for x in list %}{% if x == 1 %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.found }}|{% set ns.text %}block{% endset %}{{ ns.text }}
{% macro m(a, b='B', c=none) %}<{{ a }},{{ b }},{{ c }}>{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(1, c=3) }}{{ m(b=1, a=2) }}{{ m() }}|{{ m('x')|length }}|{{ m(1) ~ '!' }}|{{ m is callable }}
{% macro outer() %}{{ name }}{{ later }}{{ loop is defined }}{% endmacro %}{% set later = 'L' %}{% for i in [1] %}{% set name = 'inner' %}{{ outer() }}{% endfor %}
{% macro fact(k) %}{% if k > 1 %}{{ k }}*{{ fact(k - 1) }}{% else %}1{% endif %}{% endmacro %}{{ fact(5) }}|{% macro d2(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ d2(1) }}{{ d2(1, 2) }}|{% macro e() %}{% endmacro %}[{{ e() }}]
{% set x = 1 %}{% macro setter() %}{% set x = 2 %}{{ x }}{% endmacro %}{{ setter() }}{{ x }}|{% if no %}{% set maybe = 1 %}{% endif %}{{ maybe is defined }}|{% set messages = list[1:] %}{{ messages }}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(b=2) }}
{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}
{% macro m(a) %}{{ a.x }}{% endmacro %}{{ m() }}
{% generation %}by the model: {{ name }}{% set hidden = 1 %}{% endgeneration %}|{{ hidden is defined }}|{% if no %}a{% elif zero %}b{% elif n == 7 %}c{% else %}d{% endif %}|{% if no %}a{% else %}e{% endif %}|{% if no %}x{% endif %}
{% for i in [1, 2, 3] %}{% set cell %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endset %}{{ cell }}{% endfor %}
""",
}

# Several lines each: white space control.
WHITESPACE = [
    "a\n{% if true %}\nb\n{% endif %}\nc\n",
    "a\n  {% if true %}  \n  b\n  {% endif %}  \nc\n\n",
    "a  {%- if true -%}  b  {%- endif -%}  c",
    "a\n\n  {{- ' x ' -}}  \n\nb",
    "a\n  {{ 1 }}\n  {{ 2 }}\nb\n",
    "  {%+ if true %}x{% endif %}\n  {% if true +%}\ny{% endif %}\n",
    "a {# comment #} b\n{# line #}\nc {#- tight -#} d\n   {# indented #}\ne{# two\nlines #}\nf",
    "{% raw %}\n{{ not }} {% parsed %} {# at all #}\n{% endraw %}\nafter",
    "x  {%- raw -%}  {{ a }}  {%- endraw -%}  y",
    "  {% raw %} z {% endraw +%}\nq",
    "{%- for x in [1, 2] -%}\n  {{ x }}\n{%- endfor %}\nend",
    "{% for x in [1, 2] %}\n  {{ x }}\n  {% endfor %}\n  end\n",
    "\r\na\r\n{% if true %}\r\nb\r{% endif %}\r\nc\r\n",
    "\t{% set x = 1 %}\t\n\t{{ x }}\t\n",
    "{{ 1 }}\n{{ 2 -}}\n\n {{ 3 }}\n\n",
    "{% if true %}\n\n\nx{% endif %}   {% if true %}\ny{% endif %}\n",
    "text {% if true %} inline {% endif %} more\n   {% if true %}{% endif %}   \nend",
    "a{#-#}b{#--#}  c\n{#+ keep +#}\nd",
    "{{ {'a': {'b': 1}} }}{{ '}}' }}{{ \"%}\" }}{{ [[1]][0][0]}}",
    "{%-\n  set x =\n  1 -%}\n\n{{\nx\n}}",
    "}} %} #} { % {a} {",
    "",
    "\n",
    "\n\n",
    "{% if true -%}\n  {{- 'a' }}\n{%- else %}\nb\n{%- endif %}\n",
]

BROKEN = [
    "{{", "{{ 1", "{% if true %}", "{% if %}{% endif %}", "{% endif %}", "{% for x %}{% endfor %}", "{% for in y %}{% endfor %}",
    "{{ 1 + }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{{ {1} }}", "{{ 'a }}", "{{ a b }}", "{{ a. }}", "{{ a[] }}", "{{ a| }}", "{{ }}",
    "{{ x|nosuchfilter }}", "{{ x is nosuchtest }}", "{% nosuch %}", "{# open", "{% raw %} open", "{% set %}", "{% set 1 = 2 %}",
    "{% set true = 1 %}", "{% macro %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% break %}", "{{ f(a=1, 2) }}",
    "{{ a is b is c }}", "{% if true %}{% endfor %}", "{{ 1 ! 2 }}", "{{ a ? b }}", "{% else %}", "{{ @ }}", "{% for x in y %}",
    "{% macro m() %}{% break %}{% endmacro %}", "{% set x %}", "{{ a.b.c( }}", "{{ 1 if }}", "{{ not }}", "{%", "{{ a[1:2:3:4] }}",
]

TOOL = {"type": "function", "function": {"name": "find_train", "description": "Trains between two cities", "parameters": {
    "type": "object", "properties": {
        "from": {"type": "string", "description": "City"}, "to": {"type": "string"}, "seats": {"type": "integer", "minimum": 1},
        "via": {"type": "array", "items": {"type": "string"}}}, "required": ["from", "to"]}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "find_train", "arguments": {"from": "Zürich", "to": "Wien", "seats": 2, "via": ["Linz"]}}}


def user(text):
    return {"role": "user", "content": text}


CONVERSATIONS = {
    "one_turn": {"messages": [user("Hello")]},
    "system": {"messages": [{"role": "system", "content": "Be brief."}, user("Hello")]},
    "several_turns": {"messages": [user("Hi"), {"role": "assistant", "content": "Hello!"}, user("  Spaces, é 你好 <b>&amp;</b> ")]},
    "no_prompt": {"messages": [user("Hi"), {"role": "assistant", "content": "Hello!"}], "add_generation_prompt": False},
    "reasoning": {"messages": [user("1+1?"), {"role": "assistant", "content": "<think>\nadd\n</think>\n\n2"}, user("2+2?")]},
    "reasoning_field": {"messages": [user("1+1?"), {"role": "assistant", "reasoning_content": "add", "content": "2"}]},
    "thinking_off": {"messages": [user("1+1?")], "enable_thinking": False},
    "tools": {"messages": [user("A train?")], "tools": [TOOL]},
    "tool_result": {"messages": [user("A train to Wien?"), {"role": "assistant", "content": "", "tool_calls": [CALL]},
                                 {"role": "tool", "name": "find_train", "content": "{\"leaves\": \"8:40\"}"},
                                 {"role": "tool", "name": "find_train", "content": "full"}], "tools": [TOOL]},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "One. "}, {"type": "text", "text": "Two."}]}]},
    "unknown_role": {"messages": [{"role": "wizard", "content": "Hocus"}]},
    "no_messages": {"messages": []},
    "content_null": {"messages": [user("Hi"), {"role": "assistant", "content": None}]},
}


def write(path, cases):
    path.write_text(json.dumps({"cases": cases}, indent=1, ensure_ascii=False) + "\n")
    print(path.name, len(cases), "cases,", sum("error" in case for case in cases), "of them refused")


def main():
    env = environment()
    snippets = []
    for topic, text in SNIPPETS.items():
        snippets += [(f"{topic} {i + 1}", line) for i, line in enumerate(text.strip().split("\n"))]
    snippets += [(f"whitespace {i + 1}", text) for i, text in enumerate(WHITESPACE)]
    snippets += [(f"broken {i + 1}", text) for i, text in enumerate(BROKEN)]
    cases = [{"case": name, "template": text, **render(env, text, CONTEXT)} for name, text in snippets]
    (FOLDER / "snippets.json").write_text(
        json.dumps({"context": CONTEXT, "cases": cases}, indent=1, ensure_ascii=False) + "\n")
    print("snippets.json", len(cases), "cases,", sum("error" in case for case in cases), "of them refused")

    for path in sorted(FOLDER.glob("*.jinja")):
        cases = []
        for name, conversation in CONVERSATIONS.items():
            context = {"add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", **conversation}
            cases.append({"case": name, "context": context, **render(env, path.read_text(), context)})
        write(path.with_suffix(".json"), cases)


if __name__ == "__main__":
    main()
