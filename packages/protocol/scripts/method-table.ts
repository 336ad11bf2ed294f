import type { MethodDeclaration } from '../src/contract.ts';
import { methods } from '../src/methods.ts';

/** The source of `method-table.gen.ts`: what the client needs of the contract at run time, without zod. */
export function methodTableSource(): string {
  const names = (replay: string) =>
    Object.values(methods as Record<string, MethodDeclaration>)
      .filter((method) => method.replay === replay)
      .map(({ name }) => name)
      .join(' ');
  return `// Made by scripts/generate.ts from the declarations; a test fails when it is stale.
import type { Replay } from './contract.ts';

const safe =
  '${names('safe')}';
const keyed =
  '${names('keyed')}';

/** Method name → whether it may be sent again; those that are in neither list are \`never\`. Small: it is part of every browser's bundle. */
export const methodReplay: ReadonlyMap<string, Replay> = new Map([
  ...safe.split(' ').map((name): [string, Replay] => [name, 'safe']),
  ...keyed.split(' ').map((name): [string, Replay] => [name, 'keyed']),
]);
`;
}
