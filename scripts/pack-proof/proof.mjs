/** What was proved so far, said line by line. */
export class Proof {
  #passed = 0;
  #failed = 0;
  #leftOut = [];

  /** Runs one step that resolves with `{code, output}`, as `run` of the toolchain does; says how it went and returns whether well. */
  async check(name, work) {
    const { code, output } = await work();
    const isOk = code === 0;
    if (isOk) this.#passed++;
    else this.#failed++;
    console.log(`${isOk ? '✓' : '✗'} ${name}`);
    if (!isOk) console.log(`${output.trimEnd().replace(/^/gm, '    ')}\n`);
    return isOk;
  }

  /** A fact that must hold; `problems` say why it does not. */
  holds(name, problems) {
    return this.check(name, () => ({ code: problems.length === 0 ? 0 : 1, output: problems.join('\n') }));
  }

  /** A figure for whoever reads along. */
  tell(line) {
    console.log(`  ${line}`);
  }

  /** Something that this machine can't show; a failure where CI=true. */
  leaveOut(what) {
    this.#leftOut.push(what);
  }

  /** Prints the counts and sets the exit code. */
  report() {
    if (this.#leftOut.length > 0)
      console.log(`\nLEFT OUT on this machine:\n${this.#leftOut.map((what) => `  - ${what}`).join('\n')}`);
    if (process.env.CI === 'true') this.#failed += this.#leftOut.length;
    console.log(`\n${this.#passed} passed, ${this.#failed} failed`);
    process.exitCode = this.#failed === 0 ? 0 : 1;
  }
}
