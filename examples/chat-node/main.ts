// `npm run chat -- "hello"`: says something to the running gateway and streams the answer. Exits 0 when it was answered whole, else 1.
import { connect, isGatewayError } from '@openclaw/client';
import { gatewayAddress } from './gateway-address.ts';
import { PartPrinter } from './part-printer.ts';

/** A gateway on the same machine answers in milliseconds; a restart takes a second or two. */
const patienceMs = 4_000;

const message = process.argv.slice(2).join(' ').trim();
if (message === '') {
  console.error('Say something: npm run chat -- "hello"');
  process.exit(1);
}

const { url, token, tokenFile } = gatewayAddress(process.env);
const gateway = connect({
  url,
  ...(token === undefined ? {} : { token }),
  client: { id: 'cli', mode: 'cli', displayName: 'chat-node' },
});

// Drops are healed in silence; only a gateway that was never there is worth a word.
let wasLive = false;
let lastReason = '';
gateway.on('state', ({ state, reason }) => {
  if (state === 'live') wasLive = true;
  if (state === 'backoff') lastReason = reason;
});
const giveUp = setTimeout(() => {
  if (wasLive) return;
  fail(
    `No gateway answers at ${url} (${lastReason || 'no answer'}). Start one with "npm start", or name another with OPENCLAW_GATEWAY_URL.`,
  );
}, patienceMs);

const run = gateway.session(process.env.OPENCLAW_SESSION || 'main').send(message);
// Ctrl-C stops the answer, not just the view of it; a second one leaves at once.
process.once('SIGINT', () => {
  process.once('SIGINT', () => process.exit(130));
  void run.abort();
});

const printer = new PartPrinter(process.stdout);
try {
  for await (const part of run) printer.print(part);
  await run.final;
  printer.end();
} catch (error) {
  printer.end();
  if (!isGatewayError(error)) throw error;
  const isRefused = error.code === 'NOT_PAIRED' || String(error.details?.code ?? '').startsWith('AUTH_');
  const hint = isRefused
    ? ` Set OPENCLAW_GATEWAY_TOKEN; ${token === undefined ? `there is no token in ${tokenFile}` : 'the one in use is not right'}.`
    : '';
  fail(`${error.message}${hint}`);
}
clearTimeout(giveUp);
gateway.close();

function fail(sentence: string): never {
  console.error(sentence);
  process.exit(1);
}
