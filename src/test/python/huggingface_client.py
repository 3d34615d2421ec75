# SPDX-License-Identifier: Apache-2.0
"""Hugging Face's InferenceClient, as TEI's users call it, against a running Ragbus, whose address is the argument."""

import sys

from huggingface_hub import InferenceClient

address = sys.argv[1]
client = InferenceClient(model=address)

vectors = client.feature_extraction("A cat purrs.", normalize=True, truncate=True)
assert vectors.shape == (1, 384), vectors.shape
assert abs(float((vectors[0] ** 2).sum()) - 1) < 1e-3

alike = client.sentence_similarity(
    "A cat purrs.", other_sentences=["A kitten purrs.", "Stocks fell on Monday."], model=f"{address}/similarity"
)
assert alike[0] > 0.5 > alike[1], alike
print("Hugging Face's client is content")
