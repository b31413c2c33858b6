// Shows an OpenAPI document and lets people try it; needs nothing from elsewhere.
"use strict";

const script = document.currentScript;

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

class Page {
  constructor(api) {
    this.api = api;
  }

  deref(schema) {
    for (let depth = 0; schema && schema.$ref && depth < 10; depth++) {
      schema = schema.$ref.slice(2).split("/").reduce((found, part) => (found || {})[part], this.api);
    }
    return schema || {};
  }

  // One line that says what a value looks like.
  kind(schema) {
    if (!schema) return "anything";
    if (schema.$ref) return schema.$ref.split("/").pop();
    const either = schema.anyOf || schema.oneOf;
    if (either) return either.map((one) => this.kind(one)).join(" or ");
    if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
    if (schema.type === "array") return `list of ${this.kind(schema.items)}`;
    const bounds = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern", "multipleOf"]
      .filter((name) => name in schema).map((name) => `${name} ${schema[name]}`);
    const type = [schema.type || "anything"].flat().join(" or ");
    return [schema.format ? `${type} (${schema.format})` : type, ...bounds].join(", ");
  }

  alternatives(schema) {
    const found = this.deref(schema);
    return found.anyOf || found.oneOf || [schema];
  }

  // An example, to begin with when trying.
  example(schema, depth = 0) {
    if (schema && schema.examples && schema.examples.length) return schema.examples[0];
    schema = this.deref(schema);
    if (schema.examples && schema.examples.length) return schema.examples[0];
    if ("default" in schema) return schema.default;
    if (schema.enum) return schema.enum[0];
    if (schema.const !== undefined) return schema.const;
    const either = schema.anyOf || schema.oneOf;
    if (either) return this.example(either[0], depth);
    const type = [schema.type].flat()[0];
    if (type === "object") {
      const made = {};
      if (depth < 4) {
        for (const [name, one] of Object.entries(schema.properties || {})) made[name] = this.example(one, depth + 1);
      }
      return made;
    }
    if (type === "array") return depth < 4 && schema.items ? [this.example(schema.items, depth + 1)] : [];
    return { string: "text", integer: schema.minimum ?? 1, number: schema.minimum ?? 1, boolean: true }[type] ?? null;
  }

  fields(schema) {
    const found = this.deref(schema.type === "array" ? schema.items || {} : schema);
    const required = new Set(found.required || []);
    const rows = Object.entries(found.properties || {}).map(([name, one]) => element("tr", {},
      element("td", {}, element("code", {}, name), required.has(name) ? " *" : ""),
      element("td", {}, this.kind(one)), element("td", {}, this.deref(one).description || "")));
    return rows.length ? element("table", {}, ...rows) : undefined;
  }

  operation(path, method, operation) {
    const id = operation.operationId;
    const title = element("h3", { class: operation.deprecated ? "deprecated" : undefined },
      element("span", { class: "method" }, method.toUpperCase()), element("code", {}, path), operation.summary || "");
    const parts = [title];
    if (operation.description) parts.push(element("p", {}, operation.description));
    const inputs = new Map();
    const parameters = operation.parameters || [];
    if (parameters.length) {
      parts.push(element("h4", {}, "Parameters"), element("table", {}, ...parameters.map((one) => {
        const input = element("input", { "aria-label": `${one.in} ${one.name}`, placeholder: one.required ? "required" : "" });
        if (one.schema && one.schema.default !== undefined) input.value = one.schema.default;
        if (one.schema && this.deref(one.schema).type === "array") input.placeholder = "a, b, c";
        if (one.in === "cookie") {
          input.disabled = true;
          input.placeholder = "sent by the browser";
        }
        inputs.set(one, input);
        return element("tr", {}, element("td", {}, element("code", {}, one.name), one.required ? " *" : "", element("div", { class: "quiet" }, one.in)),
          element("td", {}, this.kind(one.schema), element("div", {}, one.description || "")), element("td", {}, input));
      })));
    }
    const content = operation.requestBody ? Object.entries(operation.requestBody.content)[0] : undefined;
    let body;
    if (content) {
      const [type, media] = content;
      parts.push(element("h4", {}, `Content: ${type}`));
      if (media.schema) parts.push(this.fields(media.schema));
      const given = Object.values(media.examples || {})[0];
      const example = given ? given.value : this.example(media.schema);
      const text = type.endsWith("json") ? JSON.stringify(example, null, 2)
        : typeof example === "object" && example ? new URLSearchParams(example).toString() : String(example ?? "");
      body = element("textarea", { "aria-label": "content" });
      body.value = text;
      parts.push(body);
    }
    parts.push(element("h4", {}, "Answers"), element("table", {}, ...Object.entries(operation.responses || {}).map(([status, one]) => {
      const kinds = Object.entries(one.content || {});
      return element("tr", {}, element("td", {}, status), element("td", {}, one.description),
        element("td", {}, kinds.length ? `${kinds[0][0]}: ${this.kind(kinds[0][1].schema)}` : ""));
    })));
    const answer = element("div", { role: "status" });
    const send = () => this.send(path, method, inputs, body && { text: body.value, type: content[0] }, answer);
    parts.push(element("button", { onclick: send, "data-send": id }, "Send"), answer);
    return element("section", { id }, ...parts);
  }

  async send(path, method, inputs, body, answer) {
    const query = new URLSearchParams();
    const headers = {};
    let target = path;
    for (const [one, input] of inputs) {
      if (input.value === "" && !one.required) continue;
      if (one.in === "path") target = target.replace(`{${one.name}}`, () => encodeURIComponent(input.value));
      else if (one.in === "query") {
        const values = this.deref(one.schema).type === "array" ? input.value.split(",") : [input.value];
        for (const value of values) query.append(one.name, value.trim());
      }
      else if (one.in === "header") headers[one.name] = input.value;
    }
    if (body) headers["content-type"] = body.type;
    const base = new URL(script.dataset.openapi, location.href).pathname.replace(/\/openapi\.json$/, "");
    const url = base + target + (query.size ? `?${query}` : "");
    answer.replaceChildren(element("p", { class: "quiet" }, "Waiting for the answer"));
    const began = performance.now();
    try {
      const reply = await fetch(url, { method: method.toUpperCase(), headers, body: body && body.text });
      const type = reply.headers.get("content-type") || "";
      if (type.startsWith("text/event-stream")) {
        await this.stream(reply, answer);
        return;
      }
      let text = await reply.text();
      // Numbers that JavaScript cannot hold are better shown as they came.
      if (/\bjson\b|\+json\b/.test(type) && !/\d{16}/.test(text)) text = JSON.stringify(JSON.parse(text || "null"), null, 2);
      const took = (performance.now() - began).toFixed(0);
      answer.replaceChildren(
        element("p", { class: reply.ok ? "good" : "bad" }, `${reply.status} ${reply.statusText} in ${took} ms, ${type}`),
        element("pre", {}, text));
    } catch (error) {
      answer.replaceChildren(element("p", { class: "bad" }, String(error)));
    }
  }

  async stream(reply, answer) {
    const shown = element("pre", {});
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    const stop = element("button", { onclick: () => reader.cancel() }, "Stop");
    answer.replaceChildren(element("p", { class: "good" }, `${reply.status}, events`), shown, stop);
    for (let part = await reader.read(); !part.done; part = await reader.read()) shown.append(part.value);
    stop.remove();
  }

  channel(name, channel) {
    const messages = Object.entries(channel.messages || {});
    const word = messages.some(([key]) => key === "incoming") ? "SOCKET" : "EVENTS";
    const parts = [element("h3", {}, element("span", { class: "method" }, word), element("code", {}, channel.address), channel.title || "")];
    for (const [key, message] of messages) {
      parts.push(element("h4", {}, `${key}: ${this.kind(message.payload)}`));
      for (const one of this.alternatives(message.payload)) {
        const table = this.fields(one);
        if (table) parts.push(...(one.$ref ? [element("p", { class: "quiet" }, this.kind(one))] : []), table);
      }
    }
    return element("section", { id: `channel-${name}` }, ...parts);
  }
}

async function load(name) {
  const reply = await fetch(new URL(name, location.href));
  if (!reply.ok) throw new Error(`${name}: ${reply.status}`);
  return reply.json();
}

async function main() {
  const place = document.getElementById("operations");
  const index = document.getElementById("index");
  let api;
  try {
    api = await load(script.dataset.openapi);
  } catch (error) {
    place.replaceChildren(element("p", { class: "bad" }, `The document cannot be loaded: ${error}`));
    return;
  }
  const page = new Page(api);
  document.title = `${api.info.title} ${api.info.version}`;
  document.getElementById("title").textContent = document.title;
  document.getElementById("description").textContent = api.info.description || "";
  const groups = new Map();
  const sections = [];
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [key, operation] of Object.entries(methods)) {
      const method = key.replace("x-", "");
      const section = page.operation(path, method, operation);
      sections.push(section);
      const link = element("a", { href: `#${operation.operationId}` }, element("span", { class: "method" }, method.toUpperCase()), ` ${path}`);
      const tag = (operation.tags || ["operations"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(link);
    }
  }
  try {
    const socket = await load(script.dataset.asyncapi);
    for (const [name, channel] of Object.entries(socket.channels || {})) {
      sections.push(new Page(socket).channel(name, channel));
      if (!groups.has("sockets")) groups.set("sockets", []);
      groups.get("sockets").push(element("a", { href: `#channel-${name}` }, channel.address));
    }
  } catch (error) {
    // An application without sockets may leave the document out.
  }
  place.replaceChildren(...sections);
  for (const [tag, links] of groups) index.append(element("div", {}, element("h2", {}, tag), ...links));
  document.getElementById("search").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const link of index.querySelectorAll("a")) link.hidden = !link.textContent.toLowerCase().includes(wanted);
    for (const section of sections) section.hidden = !section.textContent.toLowerCase().includes(wanted);
  });
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

main();
