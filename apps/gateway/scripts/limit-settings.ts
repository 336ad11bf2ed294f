import { limitsTable } from '@openclaw/server';

/** The text of `src/limit-settings.gen.ts`: the server's limits, so that reading a configuration need not load the server. */
export function limitSettingsSource(): string {
  const rows = limitsTable().map(({ name, default: value, unit, what }) => {
    const counted = unit === 'count' ? '' : unit.startsWith('per ') ? ` Times ${unit}.` : ` In ${unit}.`;
    const about = `${what}${counted}`;
    return `  ${name}: { standard: '${value}', about: ${JSON.stringify(about)} },\n`;
  });
  return `// Made by scripts/generate.ts from the limits of @openclaw/server.
/** Every limit: its default, and what it bounds. */
export const limitSettings = {
${rows.join('')}} as const;
`;
}
