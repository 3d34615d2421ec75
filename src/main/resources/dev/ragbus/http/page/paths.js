// The routes that are Ragbus's own.

export const paths = {
  models: "/v1/ragbus/models",
  load: "/v1/ragbus/models/load",
  unload: "/v1/ragbus/models/unload",
  functions: "/v1/ragbus/functions",
  call: "/v1/ragbus/functions/call",
  stats: "/v1/ragbus/stats",
};
