SwaggerUIBundle({ url: new URL("/openapi.json", location.origin).href, dom_id: "#docs", validatorUrl: null });
