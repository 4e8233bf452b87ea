"""What a user of the official `openai` package does."""
import openai
import pytest

# A question whose answer by the default model does not hang on a rounding error.
QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
LONG = {"max_tokens": 1500, "extra_body": {"ignore_eos": True}}


def ask(client, messages=QUESTION, **options):
    return client.chat.completions.create(model="default", messages=messages, **({"temperature": 0, "max_tokens": 32} | options))


def streamed_text(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_chat_answers_a_question(client):
    answer = ask(client)
    choice = answer.choices[0]
    assert answer.object == "chat.completion"
    assert choice.message.role == "assistant"
    assert "Paris" in choice.message.content
    assert choice.finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_system_message_and_history_are_part_of_the_prompt(client):
    short = ask(client, max_tokens=1).usage.prompt_tokens
    history = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "The code word is banana."},
               {"role": "assistant", "content": "The code word is \"banana\"."}, {"role": "user", "content": "What is the code word?"}]
    answer = ask(client, history)
    assert answer.usage.prompt_tokens > short
    assert "banana" in answer.choices[0].message.content


def test_a_message_may_come_as_text_parts(client):
    parts = [{"role": "user", "content": [{"type": "text", "text": QUESTION[0]["content"]}]}]
    assert ask(client, parts).choices[0].message.content == ask(client).choices[0].message.content


def test_a_stream_says_the_same_as_the_whole_answer(client):
    whole = ask(client, max_tokens=64)
    chunks = list(ask(client, max_tokens=64, stream=True))
    assert streamed_text(chunks) == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason
    assert len({c.id for c in chunks}) == 1
    assert all(c.object == "chat.completion.chunk" for c in chunks)


def test_a_stream_carries_usage_only_when_asked(client):
    assert all(c.usage is None for c in ask(client, stream=True))
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    usage = chunks[-1].usage
    assert chunks[-1].choices == []
    assert all(c.usage is None for c in chunks[:-1])
    assert usage == ask(client).usage.model_copy(update={"prompt_tokens_details": usage.prompt_tokens_details})


def test_max_tokens_ends_the_answer_with_reason_length(client):
    for limit in ({"max_tokens": 5}, {"max_tokens": None, "max_completion_tokens": 5}):
        answer = ask(client, extra_body={"ignore_eos": True}, **limit)
        assert answer.usage.completion_tokens == 5
        assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(client, stream):
    count = [{"role": "user", "content": "Count from 1 to 10, with commas."}]
    whole = ask(client, count, max_tokens=64).choices[0].message.content
    stop = whole[len(whole) // 2 : len(whole) // 2 + 3]
    answer = ask(client, count, max_tokens=64, stop=["never said", stop], stream=stream)
    said = streamed_text(answer) if stream else answer.choices[0].message.content
    assert said == whole[: whole.index(stop)]


def test_a_seed_makes_a_sampled_answer_repeatable(client):
    options = {"temperature": 1.0, "max_tokens": 24, "extra_body": {"ignore_eos": True}}
    story = [{"role": "user", "content": "Tell me a story."}]
    texts = [ask(client, story, seed=seed, **options).choices[0].message.content for seed in (7, 7, 8, 9, 10)]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


def test_logit_bias_can_forbid_a_token(client, autoglm, model):
    first = ask(client, max_tokens=1).choices[0].message.content
    token = autoglm("model", "tokenize", model, "--text", first).stdout
    token_id = int("".join(c for c in token.split()[0] if c.isdigit()))
    assert ask(client, max_tokens=1, logit_bias={str(token_id): -100}).choices[0].message.content != first


def test_a_repeated_prompt_comes_from_the_cache_and_says_the_same(client):
    text = " ".join(f"Fact {i}: the number {i * 37} is written on card {i}." for i in range(20))
    messages = [{"role": "user", "content": text + " Which number is on card 3?"}]
    first, second = ask(client, messages), ask(client, messages)
    assert first.usage.prompt_tokens_details.cached_tokens < 64
    assert second.usage.prompt_tokens_details.cached_tokens > first.usage.prompt_tokens // 2
    assert second.usage.prompt_tokens_details.cached_tokens < second.usage.prompt_tokens
    assert second.choices[0].message.content == first.choices[0].message.content


def test_a_completion_continues_its_prompt(client):
    options = {"model": "default", "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
    whole = client.completions.create(**options)
    assert whole.object == "text_completion"
    assert "Paris" in whole.choices[0].text
    assert "".join(c.choices[0].text for c in client.completions.create(stream=True, **options)) == whole.choices[0].text


def test_models_lists_the_loaded_model_and_both_ids_answer(client, model):
    ids = [m.id for m in client.models.list()]
    assert model.stem in ids
    assert client.models.retrieve(ids[0]).id == ids[0]
    named = client.chat.completions.create(model=model.stem, messages=QUESTION, temperature=0, max_tokens=8)
    assert named.choices[0].message.content == ask(client, max_tokens=8).choices[0].message.content


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="gpt-9", messages=QUESTION)
    assert error.value.code == "model_not_found"
    assert "gpt-9" in error.value.message


def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(start_server):
    client = start_server("--context", "256").client()
    with pytest.raises(openai.BadRequestError) as error:
        ask(client, [{"role": "user", "content": "word " * 400}])
    assert error.value.code == "context_length_exceeded"
    assert "256" in error.value.message
    assert any(int(n) > 400 for n in "".join(c if c.isdigit() else " " for c in error.value.message).split())
    assert "Paris" in ask(client).choices[0].message.content


def test_an_image_for_a_text_model_is_refused_by_name(client):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(openai.BadRequestError, match="(?i)image"):
        ask(client, [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}])


@pytest.mark.parametrize(
    "bad",
    [{"messages": []}, {"messages": [{"role": "wizard", "content": "hi"}]}, {"max_tokens": 0}, {"max_tokens": -3},
     {"temperature": -1}, {"temperature": "warm"}, {"top_p": 1.5}, {"stop": 7}, {"messages": "hi"}, {"seed": "x"},
     {"extra_body": {"top_k": "many"}}],
    ids=str)
def test_a_bad_parameter_is_refused(client, bad):
    with pytest.raises(openai.BadRequestError) as error:
        ask(client, **bad)
    assert error.value.body["type"] == "invalid_request_error"
    assert error.value.body["message"]


def test_a_client_timeout_frees_the_sequence(server):
    with pytest.raises(openai.APITimeoutError):
        ask(server.client(timeout=0.5), **LONG)
    server.wait_for_metric("autoglm_num_requests_running", 0)


def test_closing_a_stream_early_frees_the_sequence(server):
    stream = ask(server.client(), stream=True, **LONG)
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    assert server.metrics()["autoglm_num_requests_running"] == 1
    stream.close()
    server.wait_for_metric("autoglm_num_requests_running", 0)


def test_an_answer_may_be_in_any_script_and_is_always_valid_text(client):
    messages = [{"role": "user", "content": "Repeat exactly: 你好，世界 👍🏽 naïve"}]
    chunks = list(ask(client, messages, stream=True, max_tokens=48))
    assert streamed_text(chunks) == ask(client, messages, max_tokens=48).choices[0].message.content
