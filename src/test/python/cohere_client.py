# SPDX-License-Identifier: Apache-2.0
"""The official Cohere client against a running Ragbus, whose address is the argument: exits 0 if all is as with Cohere."""

import math
import sys

import cohere

client = cohere.ClientV2(api_key="none", base_url=sys.argv[1])
model = "all-MiniLM-L6-v2"
texts = ["Stocks fell on Monday.", "A cat purrs."]

made = client.embed(model=model, texts=texts, input_type="search_document", embedding_types=["float", "int8", "ubinary"])
assert made.response_type == "embeddings_by_type", made
assert [len(row) for row in made.embeddings.float_] == [384, 384]
assert all(-127 <= number <= 127 for row in made.embeddings.int8 for number in row)
assert [len(row) for row in made.embeddings.ubinary] == [48, 48]
assert made.texts == texts, made.texts
assert made.meta.billed_units.input_tokens > 0

query = client.embed(model=model, texts=["cat sounds"], input_type="search_query", embedding_types=["float"], output_dimension=64)
assert len(query.embeddings.float_[0]) == 64
assert math.isclose(sum(number * number for number in query.embeddings.float_[0]), 1, abs_tol=1e-3)

ranking = client.rerank(model=model, query="cat sounds", documents=texts, top_n=1)
assert [(result.index, 0 < result.relevance_score <= 1) for result in ranking.results] == [(1, True)], ranking
assert ranking.meta.api_version.version == "2"

for arguments, error in [
    ({"model": model, "query": "q", "documents": []}, cohere.BadRequestError),
    ({"model": "no-such-model", "query": "q", "documents": ["d"]}, cohere.NotFoundError),
]:
    try:
        client.rerank(**arguments)
    except error as refused:
        message = refused.body["message"] if isinstance(refused.body, dict) else refused.body.message
        assert message, refused
    else:
        sys.exit(f"{arguments} was not refused")
print("the Cohere client is content")
