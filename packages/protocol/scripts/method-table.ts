import type { MethodDeclaration } from '../src/contract.ts';
import { methods } from '../src/methods.ts';

/** The source of `method-table.gen.ts`: what the client needs of the contract at run time, without zod. */
export function methodTableSource(): string {
  const rows = Object.values(methods as Record<string, MethodDeclaration>).map(
    ({ name, replay }) => `  ['${name}', '${replay}'],`,
  );
  return `// Made by scripts/generate.ts from the declarations; a test fails when it is stale.
import type { Replay } from './contract.ts';

/** Method name → whether it may be sent again. Small, because it is part of every browser's bundle. */
export const methodReplay: ReadonlyMap<string, Replay> = new Map([
${rows.join('\n')}
]);
`;
}
