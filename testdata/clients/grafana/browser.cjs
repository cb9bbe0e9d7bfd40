// What Grafana's modules expect of a browser, so that they load without one: `browser.cjs` is required before them, with the folder of the modules.
//
// 1. A document of jsdom, whose names are global.
// 2. Two modules that only draw are left out: the editor (`monaco-*`), which is made for bundlers, and `@grafana/assistant`, which is not installed.

const { createRequire } = require("node:module");
const Module = require("node:module");
const path = require("node:path");

exports.prepare = (modules) => {
  const from = createRequire(path.join(modules, "here.js"));
  const { JSDOM } = from("jsdom");
  const { window } = new JSDOM("<!doctype html><html><body></body></html>", { url: "http://localhost/", pretendToBeVisual: true });
  const put = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  for (const name of Object.getOwnPropertyNames(window)) {
    if (!(name in globalThis)) put(name, window[name]);
  }
  put("window", window);
  put("navigator", window.navigator);
  put("devicePixelRatio", 1);
  // Node has its own, which jsdom's windows do not take.
  for (const name of ["Event", "CustomEvent"]) put(name, window[name]);
  const nothing = () => {};
  window.matchMedia = () => ({ matches: false, addListener: nothing, removeListener: nothing, addEventListener: nothing, removeEventListener: nothing });
  put("matchMedia", window.matchMedia);
  for (const name of ["ResizeObserver", "IntersectionObserver"]) {
    window[name] = class {
      observe() {}
      unobserve() {}
      disconnect() {}
    };
    put(name, window[name]);
  }
  window.HTMLCanvasElement.prototype.getContext = () => ({ measureText: () => ({ width: 1 }), fillRect: nothing, getImageData: () => ({ data: [] }) });
  window.grafanaBootData = { settings: {}, user: {}, navTree: [] };
  put("grafanaBootData", window.grafanaBootData);
  for (const ending of [".css", ".scss", ".svg"]) Module._extensions[ending] = nothing;

  const drawing = path.join(__dirname, "nothing.cjs");
  const resolve = Module._resolveFilename;
  Module._resolveFilename = function (name, ...rest) {
    return name === "@grafana/assistant" || name.startsWith("monaco-") ? drawing : resolve.call(this, name, ...rest);
  };
  return from;
};
