/** The settings that differ between two configurations, as paths; a list is one setting. */
export function changedPaths(before: unknown, after: unknown, at: readonly string[] = []): string[][] {
  if (!isSection(before) || !isSection(after)) {
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [[...at]];
  }
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((name) => changedPaths(before[name], after[name], [...at, name]));
}

/**
 * `target` with a JSON merge patch (RFC 7396) applied: fields of sections are merged, null deletes, anything else replaces.
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isSection(patch)) return patch;
  const merged = new Map(isSection(target) ? Object.entries(target) : []);
  for (const [name, field] of Object.entries(patch)) {
    if (field === null) merged.delete(name);
    else merged.set(name, mergePatch(merged.get(name), field));
  }
  return Object.fromEntries(merged);
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
