// The agent: a process of its own. OPENCLAW_GATEWAY_URL and AGENT_TOKEN say where it serves and prove who it is.
import { defineAgent, serve, thinking } from '@openclaw/plugin-sdk';

const { OPENCLAW_GATEWAY_URL: url = 'ws://127.0.0.1:18789', AGENT_TOKEN: token = '' } = process.env;

const counter = defineAgent({
  name: 'Counter',
  resumable: true,
  async *run({ text, call, signal }) {
    yield thinking('How far shall I count?');
    const pid = yield* call({ name: 'whoami', args: {}, safe: true }, () => process.pid);
    yield `Process ${pid} counts:`;
    for (let number = 1; number <= (Number(text) || 10) && !signal.aborted; number++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      yield ` ${number}`;
    }
  },
});

const serving = serve(counter, { url, token });
await serving.ready;
console.log(`serving at ${url}`);
process.once('SIGTERM', () => void serving.close({ drainMs: 5_000 }));

const error = await serving.closed;
if (error) {
  console.error(error.message);
  process.exitCode = 1;
}
