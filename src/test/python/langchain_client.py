# SPDX-License-Identifier: Apache-2.0
"""LangChain's OpenAI class against a running Ragbus, whose address is the argument: exits 0 if it gets its vectors."""

import sys

from langchain_openai import OpenAIEmbeddings
from pydantic import SecretStr

# Unless told otherwise it sends the token ids of OpenAI's own models, which are none of this model's.
embeddings = OpenAIEmbeddings(
    model="all-MiniLM-L6-v2", base_url=f"{sys.argv[1]}/v1", api_key=SecretStr("none"), check_embedding_ctx_length=False
)
assert [len(row) for row in embeddings.embed_documents(["A cat purrs.", "Stocks fell on Monday."])] == [384, 384]
assert len(embeddings.embed_query("cat sounds")) == 384
print("LangChain is content")
