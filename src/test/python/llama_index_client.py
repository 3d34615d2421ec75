# SPDX-License-Identifier: Apache-2.0
"""LlamaIndex's OpenAI and TEI classes against a running Ragbus, whose address is the argument: exits 0 if they agree."""

import math
import sys

from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference

address = sys.argv[1]
texts = ["A cat purrs.", "Stocks fell on Monday."]

by_openai = OpenAILikeEmbedding(model_name="all-MiniLM-L6-v2", api_base=f"{address}/v1", api_key="none")
by_tei = TextEmbeddingsInference(model_name="all-MiniLM-L6-v2", base_url=address, query_instruction="", text_instruction="")

first = by_openai.get_text_embedding_batch(texts)
second = by_tei.get_text_embedding_batch(texts)
assert [len(row) for row in first] == [len(row) for row in second] == [384, 384]
assert all(math.isclose(a, b, abs_tol=2e-2) for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True))
assert len(by_openai.get_query_embedding("cat sounds")) == len(by_tei.get_query_embedding("cat sounds")) == 384
print("LlamaIndex is content")
