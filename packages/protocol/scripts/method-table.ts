import type { MethodDeclaration } from '../src/contract.ts';
import { methods } from '../src/methods.ts';

/** The source of `method-table.gen.ts`: what the client needs of the contract at run time, without zod. */
export function methodTableSource(): string {
  const rows = Object.values(methods as Record<string, MethodDeclaration>).map(
    ({ name, replay, scope }) => `  '${name}': { replay: '${replay}', scope: '${scope}' },`,
  );
  return `// Made by scripts/generate.ts from the declarations; a test fails when it is stale.
import type { Replay } from './contract.ts';
import type { MethodScope } from './scopes.ts';

/** Method name → whether it may be sent again, and who may call it. */
export const methodTable: Readonly<Record<string, { replay: Replay; scope: MethodScope }>> = {
${rows.join('\n')}
};
`;
}
