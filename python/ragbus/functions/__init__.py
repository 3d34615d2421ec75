# SPDX-License-Identifier: Apache-2.0
"""Functions of users, registered, called and stopped. Java reaches them through `ragbus.bridge` alone.

Control operations, `bridge.call(op, json)`; those marked * run user code and belong on a function lane, the others on any:

- `function_register`* {name, module?, code?, file?, input_schema?, output_schema?, timeout?, hard_cancel?} -> a description:
  {id, name, module, file, description, input_schema, output_schema, positional, source_sha256, timeout_seconds, hard_cancel,
  kind, cache}. `timeout` is a number of seconds or a text such as "30s"; `positional` names the parameters that may be given by
  position, in order; `kind` is function, async, generator, async_generator or expression; `cache` is hit or miss. With `code`,
  `module` names the module the text becomes; with neither `code` nor `file`, it is "package.module:attribute". A generator's
  `output_schema` is that of one item. Nothing is checked against the schemas here, but arguments are made into what hints ask for.
- `function_scan`* {dir} -> {functions: [description, or {file, error: {kind, type, message, traceback}}]}
- `function_unregister` {id} -> {}; `function_source` {id} -> {code: string or null}
- `function_stats` {} -> {cache_hits, cache_misses, cached, taints}
- `function_cancel` {call} -> {cancelled: bool}: raises the cooperative flag, and cancels the task of an async function.
- `function_kill` {call} -> {killed: bool}: raises LaneTimeout in a call of a `hard_cancel` function, if its own code runs at
  that moment; else nothing happens. It cannot reach another call (see `calls`), so Java needs no fence; it counts a taint.

Calls, on a function lane; `number` is the call's, never used twice at once; `seconds_left` may be infinite:

- `bridge.run_function(id, number, seconds_left, payload, arrays)` -> [True, payload {result, arrays}] or [False, failure]
- `bridge.open_stream(id, number, seconds_left, payload, arrays)` -> [True, b""] or [False, failure]
- `bridge.next_items(number, max_items, max_millis)` -> [True, payload {items, done, arrays}] or [False, failure]. A stream that
  is done or has failed is closed already. Items that came before a failure are given first.
- `bridge.close_stream(number)` -> [True, b""] or [False, failure]; one that is not open is fine.

A payload's form is in `payload`. In arguments, `args` as a list is passed by position, anything else but an absent one as one
argument. With `arrays` false, NumPy arrays in a result become nested lists. A failure is `errors.describe`'s JSON.
"""
