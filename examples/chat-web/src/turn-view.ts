import type { ApprovalPart, StreamedPart, TextPart, ToolPart } from '@openclaw/client';
import { element } from './element.ts';
import { RichText } from './rich-text.ts';

/** What a turn tells the page. */
export interface TurnEvents {
  /** Something became taller. */
  grown(): void;
  /** Words for people who listen. */
  announce(words: string): void;
}

/** One answer: thinking, tool calls, approvals and text, in the order in which they came. */
export class TurnView {
  readonly root = element('li', 'turn answer');
  #events: TurnEvents;
  #texts = new Map<string, { rich: RichText; text: string; details?: HTMLDetailsElement }>();
  #tools = new Map<string, { details: HTMLDetailsElement; body: HTMLElement; summary: HTMLElement }>();
  #approvals = new Map<string, HTMLElement>();
  #stale = new Set<string>();
  #frame = 0;
  #waiting: HTMLElement | undefined;

  constructor(events: TurnEvents) {
    this.#events = events;
    this.root.setAttribute('aria-label', 'Answer');
  }

  /** Shows that the answer is being made, until its first words. */
  wait(words: string): void {
    if (this.root.dataset.hasContent) return;
    this.#waiting?.remove();
    const dots = element('span', 'dots', element('i'), element('i'), element('i'));
    dots.setAttribute('aria-hidden', 'true');
    this.#waiting = element('p', 'waiting', dots, ` ${words}`);
    this.root.append(this.#waiting);
    this.#events.grown();
  }

  /** Shows one more part. */
  show(part: StreamedPart): void {
    switch (part.type) {
      case 'status':
        if (part.phase === 'queued') this.wait('Waiting for its turn');
        else if (part.phase === 'recovering') this.wait('The agent was interrupted; it goes on in a moment');
        else this.wait('Working');
        return;
      case 'usage':
        return;
      case 'text':
      case 'thinking':
        this.#showText(part);
        break;
      case 'tool':
        this.#showTool(part);
        break;
      case 'approval':
        this.#showApproval(part);
        break;
      case 'notice':
        if (part.kind === 'notice' && part.title) this.#append(element('p', 'notice', part.title));
        break;
      case 'reset':
        if (this.root.dataset.hasContent)
          this.#append(element('p', 'notice', `Something may be missing here (${part.reason}).`));
    }
    this.#events.grown();
  }

  /** Marks the answer as whole. */
  finish(): void {
    this.#settle();
    const words = [...this.#texts].filter(([key]) => key.startsWith('text ')).map(([, { text }]) => text);
    if (words.length > 0) this.#events.announce(`Answer: ${words.join('\n')}`);
  }

  /** Marks the answer as ended before its end. */
  fail(words: string): void {
    this.#settle();
    this.#append(element('p', 'failure', words));
    this.#events.announce(words);
    this.#events.grown();
  }

  #settle(): void {
    this.#waiting?.remove();
    this.#render();
    this.root.removeAttribute('aria-busy');
    for (const { details } of this.#tools.values())
      if (details.dataset.phase !== 'result') details.dataset.phase = 'ended';
    for (const card of this.#approvals.values()) for (const button of card.querySelectorAll('button')) button.remove();
  }

  #append(child: HTMLElement): void {
    this.#waiting?.remove();
    this.root.dataset.hasContent = 'yes';
    this.root.setAttribute('aria-busy', 'true');
    this.root.append(child);
  }

  #showText({ type, itemId, text }: TextPart): void {
    const key = `${type} ${itemId}`;
    let shown = this.#texts.get(key);
    if (!shown) {
      const rich = new RichText();
      shown = { rich, text };
      if (type === 'thinking') {
        shown.details = element('details', 'thinking', element('summary', '', 'Thinking'), rich.root);
        shown.details.open = true;
      } else {
        // The thinking has done its work once the answer begins.
        for (const { details } of this.#texts.values()) if (details) details.open = false;
      }
      this.#texts.set(key, shown);
      this.#append(shown.details ?? rich.root);
    }
    shown.text = text;
    this.#stale.add(key);
    // Words come faster than frames.
    this.#frame ||= requestAnimationFrame(() => {
      this.#render();
      this.#events.grown();
    });
  }

  #render(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    for (const key of this.#stale) {
      const shown = this.#texts.get(key);
      shown?.rich.set(shown.text);
    }
    this.#stale.clear();
  }

  #showTool({ toolCallId, name, title, phase, args, partialResult, result, isError }: ToolPart): void {
    let shown = this.#tools.get(toolCallId);
    if (!shown) {
      const summary = element('summary', '', element('span', 'mark'), title ?? name);
      const body = element('div', 'tool-body');
      shown = { summary, body, details: element('details', 'tool', summary, body) };
      this.#tools.set(toolCallId, shown);
      this.#append(shown.details);
    }
    const { body, details } = shown;
    details.dataset.phase = isError ? 'error' : phase;
    details.setAttribute('aria-label', `Tool ${name}: ${isError ? 'failed' : phase === 'result' ? 'done' : 'running'}`);
    if (args !== undefined && !isEmpty(args)) setSection(body, 'Arguments', args);
    if (phase === 'update' && partialResult !== undefined) setSection(body, 'Result', partialResult);
    if (phase === 'result' && result !== undefined) setSection(body, 'Result', result);
  }

  #showApproval({ approvalId, phase, title, description, args, decision, reason, approve, deny }: ApprovalPart): void {
    let card = this.#approvals.get(approvalId);
    if (!card) {
      card = element('section', 'approval card');
      card.setAttribute('aria-label', `Approval: ${title}`);
      this.#approvals.set(approvalId, card);
      this.#append(card);
    }
    const hadFocus = card.contains(document.activeElement);
    card.replaceChildren(element('h3', '', title));
    if (description) card.append(element('p', '', description));
    if (args !== undefined && !isEmpty(args)) setSection(card, 'With', args);
    if (phase === 'resolved') {
      const who =
        reason === 'timeout'
          ? ', since nobody answered in time'
          : reason === 'run_ended'
            ? ', since the run ended'
            : '';
      const verdict = element(
        'p',
        `verdict ${decision ?? 'deny'}`,
        `${decision === 'allow' ? 'Allowed' : 'Denied'}${who}`,
      );
      verdict.tabIndex = -1;
      card.append(verdict);
      if (hadFocus) verdict.focus();
      return;
    }
    const allow = element('button', 'primary', 'Allow');
    const refuse = element('button', '', 'Deny');
    const answer = (give: () => Promise<unknown>) => {
      allow.disabled = refuse.disabled = true;
      give().catch((error: unknown) => {
        allow.disabled = refuse.disabled = false;
        card.append(element('p', 'failure', error instanceof Error ? error.message : String(error)));
      });
    };
    allow.type = refuse.type = 'button';
    allow.addEventListener('click', () => answer(approve));
    refuse.addEventListener('click', () => answer(deny));
    card.append(element('div', 'buttons', allow, refuse));
    this.#events.announce(`The agent asks: ${title}`);
  }
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

/** Shows a value below a small title, in place of what was shown there. */
function setSection(parent: HTMLElement, title: string, value: unknown): void {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  const section = element('div', 'section', element('span', 'label', title), element('pre', '', text ?? ''));
  section.dataset.title = title;
  const known = [...parent.children].find((child) => (child as HTMLElement).dataset.title === title);
  if (known) known.replaceWith(section);
  else parent.append(section);
}
