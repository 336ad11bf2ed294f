/** Requests that came while none may be served: before hello-ok, or while reading is paused. They wait in order. */
export class HeldRequests {
  #texts: string[] = [];
  #length = 0;
  #isServing = false;

  get count(): number {
    return this.#texts.length;
  }

  /** UTF-16 units of all of them. */
  get length(): number {
    return this.#length;
  }

  push(text: string): void {
    this.#texts.push(text);
    this.#length += text.length;
  }

  /** Serves them for as long as `mayServe` says so. Serving one may stop that, or begin it again from within. */
  serve(serveOne: (text: string) => void, mayServe: () => boolean): void {
    if (this.#isServing) return;
    this.#isServing = true;
    let served = 0;
    try {
      while (served < this.#texts.length && mayServe()) {
        const text = this.#texts[served++]!;
        this.#length -= text.length;
        serveOne(text);
      }
    } finally {
      this.#texts = this.#texts.slice(served);
      this.#isServing = false;
    }
  }

  clear(): void {
    this.#texts = [];
    this.#length = 0;
  }
}
