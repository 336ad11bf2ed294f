import type { Message, RunPart } from '@openclaw/protocol/wire';

/** One part of what earlier attempts said, joined. */
export type JournalPart =
  | { type: 'text' | 'thinking'; id: string; text: string; start: number }
  | {
      type: 'tool';
      toolCallId: string;
      name: string;
      args?: unknown;
      safe: boolean;
      isFinished: boolean;
      result?: unknown;
      isError?: boolean;
    }
  | {
      type: 'approval';
      approvalId: string;
      title: string;
      toolCallId?: string;
      args?: unknown;
      decision?: 'allow' | 'deny';
    }
  | { type: 'notice'; text: string }
  | { type: 'steered'; text: string };

/** What earlier attempts of a run said (S21). Empty at the first attempt. */
export interface Journal {
  /** Finished steps, oldest first; they stay as they are. */
  readonly steps: readonly (readonly JournalPart[])[];
  /** The parts of the step that was not finished; what the run yields next takes their place. */
  readonly open: readonly JournalPart[];
}

/** Reads a journal as `run.start` gives it. `steers` are the messages that the run took in, in their order. */
export function readJournal(parts: readonly RunPart[], steers: readonly Message[] = []): Journal {
  const untold = [...steers];
  const steps: JournalPart[][] = [];
  let open: JournalPart[] = [];
  const everything: JournalPart[] = [];
  const add = (part: JournalPart) => {
    open.push(part);
    everything.push(part);
  };
  for (const { stream, data } of parts) {
    switch (stream) {
      case 'assistant':
      case 'thinking': {
        const type = stream === 'assistant' ? 'text' : 'thinking';
        const known = everything.find((part) => part.type === type && part.id === data.itemId);
        if (known?.type !== type) add({ type, id: data.itemId, start: data.replace ? 0 : data.at, text: data.delta });
        else if (data.replace) Object.assign(known, { start: 0, text: data.delta });
        else known.text += data.delta.slice(Math.max(0, known.start + known.text.length - data.at));
        break;
      }
      case 'tool': {
        const known = everything.find((part) => part.type === 'tool' && part.toolCallId === data.toolCallId);
        const tool =
          known?.type === 'tool'
            ? known
            : { type: 'tool' as const, toolCallId: data.toolCallId, name: data.name, safe: false, isFinished: false };
        if (tool !== known) add(tool);
        if (data.args !== undefined) tool.args = data.args;
        if (data.safe === true) tool.safe = true;
        if (data.phase === 'result') {
          tool.isFinished = true;
          tool.result = data.result;
          if (data.isError) tool.isError = true;
        }
        break;
      }
      case 'approval': {
        const known = everything.find((part) => part.type === 'approval' && part.approvalId === data.approvalId);
        const approval =
          known?.type === 'approval'
            ? known
            : { type: 'approval' as const, approvalId: data.approvalId, title: data.title };
        if (approval !== known) add(approval);
        if (data.toolCallId !== undefined) approval.toolCallId = data.toolCallId;
        if (data.args !== undefined) approval.args = data.args;
        if (data.decision !== undefined) approval.decision = data.decision;
        break;
      }
      case 'item':
        if (data.kind === 'step') {
          steps.push(open.filter(isSaid));
          open = [];
        } else if (data.kind === 'notice') {
          add({ type: 'notice', text: data.title ?? '' });
        } else {
          const { inputId } = data;
          const index = inputId === undefined ? 0 : untold.findIndex((message) => isInput(message, inputId));
          const [steer] = index < 0 ? [] : untold.splice(index, 1);
          add({ type: 'steered', text: messageText(steer) });
        }
        break;
      default:
        break;
    }
  }
  return { steps, open: open.filter(isSaid) };
}

/** The tool calls that began and did not end, are not `safe`, and were not still waiting for a person. */
export function unrepeatableCalls({ steps, open }: Journal): Extract<JournalPart, { type: 'tool' }>[] {
  const parts = [...steps.flat(), ...open];
  const isWaiting = (toolCallId: string) =>
    parts.some((part) => part.type === 'approval' && part.toolCallId === toolCallId && part.decision !== 'allow');
  return parts
    .filter((part) => part.type === 'tool')
    .filter((tool) => !tool.isFinished && !tool.safe && !isWaiting(tool.toolCallId));
}

/** The text blocks of a message, joined by line breaks. */
export function messageText(message: Message | undefined): string {
  const blocks = message?.content.flatMap((block) => (block.type === 'text' ? [block.text] : [])) ?? [];
  return blocks.join('\n');
}

/** True for the message that was sent with this id. */
function isInput({ id, role, idempotencyKey }: Message, runId: string): boolean {
  return role === 'user' && (id === runId || idempotencyKey === runId);
}

/** The messages of a claimed run taken apart: the conversation up to the message to answer, and what was taken in since. */
export function splitMessages(
  messages: readonly Message[],
  runId: string,
): { conversation: Message[]; asked: Message | undefined; steers: Message[] } {
  const exact = messages.findLastIndex((message) => isInput(message, runId));
  const index = exact >= 0 ? exact : messages.findLastIndex(({ role }) => role === 'user');
  const steers = messages.filter(({ role, runId: of }, at) => at > index && role === 'user' && of === runId);
  return { conversation: messages.filter((message) => !steers.includes(message)), asked: messages[index], steers };
}

function isSaid(part: JournalPart): boolean {
  return (part.type !== 'text' && part.type !== 'thinking') || part.text !== '';
}
