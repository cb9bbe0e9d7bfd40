// Stands for modules that only draw.

module.exports = new Proxy({}, { get: (_, name) => (name === "__esModule" ? true : () => []) });
