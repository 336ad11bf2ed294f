import type { StreamedPart } from '@openclaw/client';

interface Output {
  isTTY?: boolean;
  write(text: string): unknown;
}

/** Prints the parts of a run as they come: the answer plainly, thinking and tools dimmed, each kind on lines of its own. */
export class PartPrinter {
  #output: Output;
  #current = '';
  #isAtLineStart = true;

  constructor(output: Output) {
    this.#output = output;
  }

  print(part: StreamedPart): void {
    switch (part.type) {
      case 'text':
        this.#begin(`text ${part.itemId}`);
        this.#write(part.replace ? `\n${part.text}` : part.delta);
        break;
      case 'thinking':
        this.#begin(`thinking ${part.itemId}`);
        this.#write(this.#dimmed(part.replace ? `\n${part.text}` : part.delta));
        break;
      case 'tool':
        if (part.phase === 'start') this.#line(`→ ${part.title ?? part.name}${brief(part.args)}`);
        if (part.phase === 'result') this.#line(`${part.isError ? '✗' : '✓'} ${part.name}${brief(part.result)}`);
        break;
      case 'approval':
        if (part.phase === 'requested') this.#line(`? ${part.title}: answer it in the chat page`);
        else this.#line(`${part.decision === 'allow' ? '✓ allowed' : '✗ denied'}: ${part.title}`);
        break;
      case 'notice':
        if (part.kind === 'notice' && part.title) this.#line(part.title);
        break;
      case 'reset':
        this.#line(`… something may be missing here (${part.reason})`);
        break;
      default:
    }
  }

  /** Ends the last line. */
  end(): void {
    if (!this.#isAtLineStart) this.#write('\n');
  }

  #begin(kind: string): void {
    if (this.#current !== kind) this.end();
    this.#current = kind;
  }

  #line(text: string): void {
    this.#begin('line');
    this.end();
    this.#write(this.#dimmed(text));
    this.#write('\n');
  }

  #write(text: string): void {
    if (text === '') return;
    this.#isAtLineStart = text.endsWith('\n');
    this.#output.write(text);
  }

  #dimmed(text: string): string {
    return this.#output.isTTY ? `\x1b[2m${text}\x1b[22m` : text;
  }
}

function brief(value: unknown): string {
  if (value === undefined) return '';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (text === '{}') return '';
  return `: ${text.length > 120 ? `${text.slice(0, 119)}…` : text}`;
}
