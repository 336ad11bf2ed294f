/**
 * Node's `http`, not by `import`: an ES import of it evaluates every one of its exports, and the getter of its global
 * `WebSocket` loads the whole HTTP client of `fetch`, which costs each start some 40 ms and nobody here uses.
 */
export const { createServer, STATUS_CODES } = process.getBuiltinModule('node:http');
