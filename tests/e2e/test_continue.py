"""A stream that breaks off at one server and goes on at another: together they are the stream that never broke."""
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from serving import Server

RESUME = {"Content-Type": "application/json", "x-autoglm-resume": "tokens"}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
MOST_CUTS = 20


def chat(question, **options):
    return CHAT, {"model": "default", "messages": [{"role": "user", "content": question}]} | USAGE | options


def text(prompt, **options):
    return TEXT, {"model": "default", "prompt": prompt} | USAGE | options


@dataclass
class Stream:
    """What has been read of one or more streams of an answer, line by line."""
    origin: dict = field(default_factory=dict)
    tokens: list = field(default_factory=list)
    tokens_by_event: list = field(default_factory=list)
    text: str = ""
    roles: list = field(default_factory=list)
    heads: set = field(default_factory=set)
    finish: str = None
    usage: dict = None
    is_done: bool = False

    def read(self, lines):
        for line in lines:
            if line.startswith(": autoglm-stream "):
                self.origin = json.loads(line.removeprefix(": autoglm-stream "))
            elif line.startswith(": autoglm-tokens "):
                self.tokens_by_event.append([int(t) for t in line.removeprefix(": autoglm-tokens ").split(",")])
                self.tokens += self.tokens_by_event[-1]
            elif line.startswith("data: "):
                self._event(line.removeprefix("data: "))
        return self

    def _event(self, data):
        if data == "[DONE]":
            self.is_done = True
            return
        event = json.loads(data)
        self.heads.add((event["id"], event["created"], event["model"], event["object"]))
        self.usage = event.get("usage") or self.usage
        for choice in event["choices"]:
            delta = choice.get("delta", {})
            self.roles += [delta["role"]] if "role" in delta else []
            self.text += delta.get("content") or choice.get("text") or ""
            self.finish = choice["finish_reason"] or self.finish

    def rest_of(self, body):
        """The request for what is missing, as a gateway would make it."""
        return {"autoglm_continue": self.origin | {"token_ids": self.tokens, "text_bytes": len(self.text.encode())}} | body


def lines_of(server, path, body, headers=RESUME):
    status, _, data = server.request("POST", path, json.dumps(body), headers)
    assert status == 200, data
    return data.decode().split("\n")


def cuts_of(lines):
    """So many lines were read when the server went away; before the first token there is nothing to go on from."""
    first = next(i for i, line in enumerate(lines) if line.startswith("data: ")) + 1
    cuts = range(first, len(lines) - lines[::-1].index("data: [DONE]") - 1)
    step = max(1, len(cuts) // MOST_CUTS)
    return sorted({*cuts[::step], *cuts[-6:]})


def expect_same_at_every_cut(path, body, first, second):
    lines = lines_of(first, path, body)
    whole = Stream().read(lines)
    assert whole.is_done and whole.finish and whole.usage["completion_tokens"] == len(whole.tokens)

    def go_on(cut):
        broken = Stream().read(lines[:cut])
        return cut, broken.read(lines_of(second, path, broken.rest_of(body)))

    with ThreadPoolExecutor(4) as pool:
        for cut, both in pool.map(go_on, cuts_of(lines)):
            assert both.text == whole.text, lines[:cut]
            assert (both.finish, both.usage, both.tokens) == (whole.finish, whole.usage, whole.tokens), lines[:cut]
            assert (both.heads, both.roles, both.is_done) == (whole.heads, whole.roles, True)
    return whole


@pytest.fixture(scope="module")
def other(binary, model, tmp_path_factory):
    """Another replica, which does not speculate."""
    server = Server(binary, model, tmp_path_factory.mktemp("other") / "log.json", "--speculation", "off")
    yield server
    server.stop()


SEA = "Tell me about the sea."
REQUESTS = {
    "greedy": chat(SEA, temperature=0, max_tokens=24),
    "sampled": chat(SEA, temperature=0.8, seed=12, max_tokens=24),
    "seed of the server's": chat(SEA, temperature=0.8, max_tokens=24),
    "penalties": text("One two three four", temperature=0.8, seed=5, max_tokens=32, presence_penalty=0.6, frequency_penalty=0.4,
                      repetition_penalty=1.2, min_tokens=30),
    "ends by itself": chat("What is 2 + 2? Answer with one word.", temperature=0, max_tokens=200),
    "repeats itself": text("a b c a b c a b c a b c", temperature=0, max_tokens=40, ignore_eos=True),
    "length of the endpoint": text("Once upon a time", temperature=0.5, seed=1),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_stream_that_breaks_off_goes_on_as_if_it_had_not(server, other, name):
    path, body = REQUESTS[name]
    expect_same_at_every_cut(path, body, server, other)


def test_drafts_of_the_second_server_change_nothing(server, other):
    path, body = REQUESTS["repeats itself"]
    expect_same_at_every_cut(path, body, other, server)


@pytest.mark.parametrize("temperature", (0, 0.8))
def test_characters_of_several_tokens_are_neither_lost_nor_repeated(server, other, temperature):
    path, body = text("Weather: 🌦🌧⛈🌩🌨❄🌤🌦🌧⛈🌩🌨❄🌤🌦🌧⛈🌩🌨❄🌤🌦🌧⛈", temperature=temperature, seed=3, max_tokens=32)
    whole = expect_same_at_every_cut(path, body, server, other)
    assert max(map(len, whole.tokens_by_event)) > 1, "no character was split: the prompt proves nothing"
    assert not whole.text.isascii()


def test_answer_that_ends_inside_a_character_is_continued_to_its_end(server, other):
    path, body = text("Weather: 🌦🌧⛈🌩🌨❄🌤🌦🌧⛈🌩🌨❄🌤🌦🌧⛈🌩🌨❄🌤🌦🌧⛈", temperature=0)
    ends = {expect_same_at_every_cut(path, body | {"max_tokens": n}, server, other).text[-1] for n in range(6, 12)}
    assert "\ufffd" in ends and len(ends) > 1


@pytest.mark.parametrize("temperature", (0, 0.8))
def test_beginnings_of_stop_strings_are_held_back_and_never_lost(server, other, temperature):
    path, body = chat(SEA, temperature=temperature, seed=7, max_tokens=32)
    answer = Stream().read(lines_of(server, path, body)).text
    never = [answer[8:16] + "@", answer[30:40] + "@"]
    whole = expect_same_at_every_cut(path, body | {"stop": never}, server, other)
    assert whole.text == answer and max(map(len, whole.tokens_by_event)) > 1
    stopped = expect_same_at_every_cut(path, body | {"stop": [*never, answer[60:70]]}, server, other)
    assert stopped.finish == "stop" and stopped.text == answer[:answer.index(answer[60:70])]


def test_a_stream_may_break_off_again_and_again(server, other):
    path, body = REQUESTS["sampled"]
    lines = lines_of(server, path, body)
    whole = Stream().read(lines)
    both = Stream().read(lines[:6])
    servers = [other, server] * 50
    while not both.is_done:
        both.read(lines_of(servers.pop(), path, both.rest_of(body))[:9])
    assert (both.text, both.tokens, both.finish, both.usage) == (whole.text, whole.tokens, whole.finish, whole.usage)


def test_a_killed_server_is_replaced_in_the_middle_of_its_stream(server, binary, model, tmp_path):
    path, body = chat(SEA, temperature=0.8, seed=4, max_tokens=150, ignore_eos=True)
    victim = Server(binary, model, tmp_path / "victim.json")
    connection = http.client.HTTPConnection(victim.host, victim.port, timeout=60)
    connection.request("POST", path, json.dumps(body), RESUME)
    response = connection.getresponse()
    both = Stream().read(response.readline().decode().rstrip("\n") for _ in range(20))
    victim.process.kill()
    both.read(line.rstrip("\n") for line in whole_lines(response))
    victim.process.wait()
    assert 0 < len(both.tokens) < 150
    both.read(lines_of(server, path, both.rest_of(body)))
    whole = Stream().read(lines_of(server, path, body))
    assert (both.text, both.tokens, both.finish) == (whole.text, whole.tokens, "length")


def whole_lines(response):
    """Those that had arrived before the server was killed."""
    try:
        while line := response.readline():
            if line.endswith(b"\n"):
                yield line.decode()
    except (http.client.HTTPException, ConnectionError):
        return


def test_an_answer_that_was_complete_ends_at_once(server, other):
    path, body = REQUESTS["ends by itself"]
    lines = lines_of(server, path, body)
    whole = Stream().read(lines)
    assert whole.finish == "stop"
    eos = 2  # <|im_end|>
    for request in (whole.rest_of(body), whole.rest_of(body) | {"max_tokens": len(whole.tokens)}):
        request["autoglm_continue"] |= {"token_ids": whole.tokens + ([eos] if request["max_tokens"] == 200 else [])}
        before = other.metrics()["autoglm_generation_tokens_total"]
        rest = Stream().read(lines_of(other, path, request))
        assert (rest.text, rest.tokens, rest.usage) == ("", [], whole.usage)
        assert rest.finish == ("stop" if request["max_tokens"] == 200 else "length")
        assert other.metrics()["autoglm_generation_tokens_total"] == before


def test_without_the_header_nothing_of_the_stream_changes(server):
    path, body = REQUESTS["sampled"]
    plain = lines_of(server, path, body, {"Content-Type": "application/json"})
    resumable = lines_of(server, path, body)
    assert not any(line.startswith(":") for line in plain) and any(line.startswith(":") for line in resumable)
    # However many tokens an event happens to carry.
    first, second = Stream().read(plain), Stream().read(resumable)
    assert (first.text, first.finish, first.roles) == (second.text, second.finish, second.roles)


def test_streams_of_several_choices_and_whole_answers_take_no_part(server):
    path, body = REQUESTS["greedy"]
    assert not any(line.startswith(":") for line in lines_of(server, path, body | {"n": 2, "max_tokens": 3}))
    status, _, answer = server.request("POST", path, json.dumps(body | {"stream": False, "stream_options": None, "max_tokens": 3}), RESUME)
    assert status == 200 and json.loads(answer)["choices"][0]["message"]["content"]


def test_an_answer_keeps_the_length_it_was_begun_with(server):
    path, body = chat(SEA, temperature=0)
    rest = body | {"autoglm_continue": {"id": "chatcmpl-1", "created": 1, "seed": 1, "max_tokens": 5, "token_ids": [504], "text_bytes": 0}}
    assert Stream().read(lines_of(server, path, rest)).usage["completion_tokens"] == 5


@pytest.mark.parametrize("param,change", {
    "n": ({"n": 2}, {}),
    "stream": ({"stream": False, "stream_options": None}, {}),
    "autoglm_continue.token_ids": ({}, {"token_ids": [49152]}),
    "autoglm_continue.token_ids ": ({"max_tokens": 1}, {"token_ids": [504, 504]}),
    "autoglm_continue.token_ids  ": ({}, {"token_ids": [2, 504]}),
    "autoglm_continue.text_bytes": ({}, {"text_bytes": 100}),
    "autoglm_continue.seed": ({}, {"seed": None}),
    "autoglm_continue.prompt_tokens": ({}, {"prompt_tokens": 1}),
    "autoglm_continue.surprise": ({}, {"surprise": 1}),
    "model": ({}, {"model": "unknown"}),
}.items())
def test_what_cannot_be_continued_is_refused_by_name(server, param, change):
    path, body = chat(SEA, max_tokens=10)
    given = {"id": "chatcmpl-1", "created": 1, "seed": 1, "token_ids": [504], "text_bytes": 0}
    status, _, answer = server.post(path, body | change[0] | {"autoglm_continue": given | change[1]})
    assert status in (400, 404)
    assert json.loads(answer)["error"]["param"] == param.strip()
