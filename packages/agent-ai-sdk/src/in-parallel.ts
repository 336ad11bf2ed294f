/** Runs generators at the same time: yields what each yields as it comes, returns what they returned, in their order. */
export async function* inParallel<T, R>(
  generators: readonly AsyncGenerator<T, R, void>[],
): AsyncGenerator<T, R[], void> {
  const results: R[] = [];
  const advance = async (index: number) => ({
    index,
    step: await (generators[index] as AsyncGenerator<T, R, void>).next(),
  });
  const pending = new Map(generators.map((_, index) => [index, advance(index)]));
  while (pending.size > 0) {
    const { index, step } = await Promise.race(pending.values());
    if (step.done) {
      results[index] = step.value;
      pending.delete(index);
    } else {
      yield step.value;
      pending.set(index, advance(index));
    }
  }
  return results;
}
