import { writeFileSync } from 'node:fs';
import { type LimitFacts, limitsTable } from '../src/connection/limits.ts';

const opening = `# Limits

Made from \`packages/server/src/connection/limits.ts\`; edit the table there, not this page.

Each of them is an option of the gateway, \`limits.<name>\`, and can be changed while it runs (\`gateway.reconfigure\`); unless a row says
otherwise the change counts at once, for sizes and times for connections that come after it. An address is an IPv4 address or the /64 of
an IPv6 one; behind a trusted proxy it is the client's own. What is refused is told with its reason: an HTTP status, the error of a
\`connect\` or of a request, or a close code ([Streams](streams.md), "Close codes").
`;

const closing = `
Whatever the limits say: an object key \`__proto__\`, \`constructor\` or \`prototype\` in a message is answered with INVALID_REQUEST, messages are
never decompressed (no permessage-deflate), and a body is never held whole unless its route says how large it may be.
`;

/** The page `docs/gateway/limits.md`. */
export function limitsPage(): string {
  const rows = limitsTable().map((row) => `| \`${row.name}\` | ${amount(row)} | ${row.what} |`);
  return `${opening}\n| Limit | Default | |\n| --- | --- | --- |\n${rows.join('\n')}\n${closing}`;
}

function amount({ default: value, unit }: LimitFacts): string {
  if (unit === 'bytes' || unit === 'UTF-16 units') {
    const short = value % 1_048_576 === 0 ? `${value / 1_048_576} Mi` : `${value / 1_024} Ki`;
    return unit === 'bytes' ? `${short}B` : `${short} UTF-16 units`;
  }
  return unit === 'count' ? value.toLocaleString('en') : `${value.toLocaleString('en')} ${unit}`;
}

if (import.meta.main) writeFileSync(new URL('../../../docs/gateway/limits.md', import.meta.url), limitsPage());
