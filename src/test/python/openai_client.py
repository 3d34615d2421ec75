# SPDX-License-Identifier: Apache-2.0
"""The official OpenAI client against a running Ragbus, whose address is the argument: exits 0 if all is as with OpenAI."""

import math
import sys

import openai

client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="none", max_retries=0)
texts = ["A cat purrs.", "A kitten purrs.", "Stocks fell on Monday."]

base64 = client.embeddings.create(model="all-MiniLM-L6-v2", input=texts)
floats = client.embeddings.create(model="all-MiniLM-L6-v2", input=texts, encoding_format="float")
assert [item.index for item in base64.data] == [0, 1, 2]
assert base64.usage.prompt_tokens == base64.usage.total_tokens > 0
for first, second in zip(base64.data, floats.data, strict=True):
    assert len(first.embedding) == 384
    assert all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(first.embedding, second.embedding, strict=True))

short = client.embeddings.create(model="all-MiniLM-L6-v2", input="A cat purrs.", dimensions=64)
assert len(short.data[0].embedding) == 64
assert math.isclose(sum(x * x for x in short.data[0].embedding), 1, abs_tol=1e-3)

assert "all-MiniLM-L6-v2" in [model.id for model in client.models.list()]

for arguments, error, status in [
    ({"model": "all-MiniLM-L6-v2", "input": ""}, openai.BadRequestError, 400),
    ({"model": "all-MiniLM-L6-v2", "input": []}, openai.BadRequestError, 400),
    ({"model": "no-such-model", "input": "x"}, openai.NotFoundError, 404),
]:
    try:
        client.embeddings.create(**arguments)
    except error as refused:
        assert refused.status_code == status, refused
        assert refused.body["message"], refused.body
    else:
        sys.exit(f"{arguments} was not refused")
print("the OpenAI client is content")
