import type { Dice } from './dice.ts';
import type { JsonValues } from './json-values.ts';

/** Changes a JSON value at a place or two: what a client that is broken, or means harm, may send in place of a good one. */
export function mutateValue(dice: Dice, values: JsonValues, value: unknown): unknown {
  let changed = structuredClone(value);
  for (let count = 1 + dice.below(2); count > 0; count--) changed = mutateOnce(dice, values, changed);
  return changed;
}

function mutateOnce(dice: Dice, values: JsonValues, root: unknown): unknown {
  const places = placesOf(root);
  if (places.length === 0) return values.any();
  const { holder, key } = dice.pick(places);
  const record = holder as Record<string, unknown>;
  switch (dice.below(8)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete record[key];
      return root;
    case 1:
      record[key] = values.any();
      return root;
    case 2:
      record[key] = values.number();
      return root;
    case 3:
      record[key] = values.string();
      return root;
    case 4:
      record[key] = nested(dice, dice.chance(0.05) ? 3_000 : 60 + dice.below(10));
      return root;
    case 5:
      record[key] = [record[key], record[key]];
      return root;
    case 6:
      if (!Array.isArray(holder)) record[values.string(12)] = values.any();
      return root;
    default:
      record[key] = dice.chance(0.03)
        ? Object.fromEntries(dice.times(12_000, (index) => [`k${index}`, index]))
        : { [dice.pick(['constructor', 'prototype', 'toJSON', 'then', 'length'])]: values.any(1) };
      return root;
  }
}

/** Changes the text of a message, whether or not it is JSON afterwards. */
export function mutateText(dice: Dice, text: string): string {
  const at = dice.below(text.length + 1);
  switch (dice.below(10)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text.slice(0, at) + String.fromCharCode(dice.below(256)) + text.slice(at + 1);
    case 2:
      return text.slice(0, at) + dice.pick(['\u0000', '\ud800', '\ufeff', '\n', '"', '}', ']', ',']) + text.slice(at);
    case 3:
      return text.slice(0, at) + text.slice(at + 1 + dice.below(8));
    case 4:
      return text + text;
    case 5:
      return text.replace('{', `{"__proto__":{"isAdmin":true},`);
    case 6:
      return text.replace('{', `{"id":"first","type":"res","method":"health",`);
    case 7:
      return text.replace(
        /:(\d+|"[^"]*")/,
        `:${dice.pick(['1e999', '-0', '1E400', '9007199254740993', '[[[[]]]]', 'NaN', '01'])}`,
      );
    case 8:
      return dice.pick(['[', '{"a":']).repeat(dice.chance(0.02) ? 100_000 : 200);
    default:
      return dice.pick(['', ' ', 'null', '[]', '0', '"text"', 'undefined', '{}', '{"type":"req"}', '\u0000']);
  }
}

interface Place {
  holder: object;
  key: string;
}

function placesOf(root: unknown): Place[] {
  const places: Place[] = [];
  const waiting: unknown[] = [root];
  while (waiting.length > 0 && places.length < 200) {
    const holder = waiting.pop();
    if (typeof holder !== 'object' || holder === null) continue;
    for (const [key, child] of Object.entries(holder)) {
      places.push({ holder, key });
      waiting.push(child);
    }
  }
  return places;
}

function nested(dice: Dice, depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level++) value = dice.chance(0.5) ? [value] : { a: value };
  return value;
}
