"""KV events over ZeroMQ: a follower, as a router has one, that knows what is in the cache before it asks."""
import socket

import msgpack
import pytest
import zmq
from serving import Server, free_port

BLOCK = 32
END = (1 << 64) - 1
STORY = "The ferry crossed the sound twice a day, and nobody on board ever read the timetable. " * 12


class Follower:
    """Mirrors a prefix cache from its events: hash -> (parent's hash, tokens)."""

    def __init__(self, events, replay, topic=""):
        self.context = zmq.Context()
        self.events = self.context.socket(zmq.SUB)
        self.events.setsockopt_string(zmq.SUBSCRIBE, topic)
        self.events.connect(events)
        self.replay = self.context.socket(zmq.DEALER)
        self.replay.connect(replay)
        self.known = {}
        self.next = 0
        self.topics = set()

    def close(self):
        self.context.destroy(linger=0)

    def catch_up(self):
        """What was missed, from the replay socket."""
        self.replay.send_multipart([b"", self.next.to_bytes(8, "big")])
        while True:
            assert self.replay.poll(10_000), "no replay"
            empty, number, payload = self.replay.recv_multipart()
            assert empty == b""
            if int.from_bytes(number, "big") == END:
                return
            self.apply(int.from_bytes(number, "big"), payload)

    def follow(self, timeout_ms=300):
        """Until nothing has come for a while."""
        while self.events.poll(timeout_ms):
            topic, number, payload = self.events.recv_multipart()
            self.topics.add(topic.decode())
            number = int.from_bytes(number, "big")
            if number > self.next:
                self.catch_up()
            self.apply(number, payload)

    def apply(self, number, payload):
        if number < self.next:
            return  # known from the replay
        assert number == self.next
        self.next += 1
        timestamp, events, rank = msgpack.unpackb(payload)
        assert timestamp > 1.7e9 and rank is None
        for tag, *fields in events:
            getattr(self, tag)(*fields)

    def BlockStored(self, hashes, parent, tokens, block_size, lora, medium, lora_name):
        assert (block_size, lora, medium, lora_name) == (BLOCK, None, "GPU", None)
        assert len(tokens) == BLOCK * len(hashes)
        for i, block in enumerate(hashes):
            assert parent is None or parent in self.known, "a child without its parent"
            self.known[block] = (parent, tuple(tokens[i * BLOCK:(i + 1) * BLOCK]))
            parent = block

    def BlockRemoved(self, hashes, medium):
        for block in hashes:
            del self.known[block]
        assert medium == "GPU"

    def AllBlocksCleared(self):
        self.known.clear()

    def tokens_known(self, prompt):
        """How many tokens of a prompt the cache has, by what this follower knows; the last is always computed."""
        children, parent, count = {(p, t): h for h, (p, t) in self.known.items()}, None, 0
        while count + BLOCK <= len(prompt) - 1:
            parent = children.get((parent, tuple(prompt[count:count + BLOCK])))
            if parent is None:
                break
            count += BLOCK
        return count


@pytest.fixture
def followed(binary, model, tmp_path):
    """A server with little KV memory, and a follower that came late."""
    events, replay = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    server = Server(binary, model, tmp_path / "log.json", "--kv-memory", "40M", "--context", "1024", "--kv-events", events,
                    "--kv-events-replay", replay, "--kv-events-topic", "kv@pod@{model}")
    complete(server, STORY)  # before anybody follows
    follower = Follower(events, replay, "kv@")
    follower.catch_up()
    yield server, follower
    follower.close()
    server.stop()


def complete(server, prompt):
    """(tokens found in the cache, prompt tokens) of a completion; the prompt is text or token ids."""
    usage = server.client().completions.create(model="default", prompt=prompt, max_tokens=4, temperature=0).usage
    return usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens


def test_a_follower_knows_every_hit_before_it_is_reported(followed):
    server, follower = followed
    assert follower.known, "the replay brought what was stored before"
    prompts = [[100 + (seed * 7 + i * (seed + 3)) % 900 for i in range(150 + seed * 40)] for seed in range(14)]
    hits = 0
    for prompt in prompts + prompts[::-1] + prompts[:6] + [p[:100] + prompts[0] for p in prompts[:8]]:
        follower.follow(150)
        expected = follower.tokens_known(prompt)
        cached, _ = complete(server, prompt)
        assert cached // BLOCK * BLOCK == expected, "partial blocks are not told of"
        hits += cached
    assert hits > 0
    metrics = server.metrics()
    assert metrics["autoglm_kv_events_published_total"] > 0
    assert metrics["autoglm_kv_events_dropped_total"] == 0
    assert len(follower.topics) == 1 and follower.topics.pop().startswith("kv@pod@")


def test_blocks_are_removed_when_they_are_evicted(followed):
    server, follower = followed
    first = set(follower.known)
    for seed in range(16):
        complete(server, [200 + seed] * 30 + [300 + i for i in range(400)])
    follower.follow()
    assert not first & set(follower.known)
    assert complete(server, STORY)[0] == 0


def test_an_unloaded_model_has_nothing_and_one_that_comes_back_has_what_was_kept(followed):
    server, follower = followed
    before = dict(follower.known)
    model = server.client().models.list().data[0].id
    assert server.post(f"/v1/models/{model}/unload", "")[0] == 200
    follower.follow()
    assert not follower.known
    cached, _ = complete(server, STORY)
    follower.follow()
    assert cached > 0
    assert before.items() <= follower.known.items()


def test_an_endpoint_that_is_taken_is_said_at_the_start(binary, model, tmp_path, autoglm):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        done = autoglm("serve", model, "--port", "0", "--kv-events", endpoint)
    assert done.returncode != 0
    assert endpoint in done.stderr


def test_a_replay_of_nothing_is_refused(model, autoglm):
    done = autoglm("serve", model, "--port", "0", "--kv-events-replay", "tcp://127.0.0.1:1")
    assert done.returncode != 0
    assert "--kv-events" in done.stderr
