import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Contract, contractChanges } from '../scripts/contract-changes.ts';
import { contractSnapshot } from '../scripts/contract-snapshot.ts';

test('the contract removes and narrows nothing that was once committed', () => {
  const file = new URL('contract.snapshot.json', import.meta.url);
  const committed = JSON.parse(readFileSync(file, 'utf8')) as Contract;
  expect(contractChanges(committed, contractSnapshot())).toEqual([]);
});
