import { type Agent, defineAgent, thinking, usage } from '@openclaw/plugin-sdk';
import { type Clock, systemClock } from '@openclaw/protocol/wire';

/** How the demo agent speaks. */
export interface DemoAgentOptions {
  id?: string;
  /** Pause before each word, in ms. Default 20. */
  paceMs?: number;
  /** Default: the machine's clock. */
  clock?: Clock;
}

const setup = `**No model is configured**, so this is the demo agent: it needs no key and calls nobody. To talk to a model, start the gateway with one of

- \`--agent-url http://127.0.0.1:11434/v1 --agent-model llama3.2\` (Ollama, LM Studio, llama.cpp, or any other OpenAI-compatible address)
- \`OPENAI_API_KEY=…\` or \`ANTHROPIC_API_KEY=…\` in the environment

Until then, try *count to 200*, and cut the cable or kill the gateway in the middle of it: the count goes on where it was.`;

const maxCount = 10_000;

/**
 * The agent that answers when no model is configured: it says so, and shows thinking, a tool call and streamed text. Asked to
 * "count to N" (N ≤ 10,000) it does, one number every `paceMs`. It says the same words at every attempt, so that a run goes
 * on in mid-word after a crash; what was said before is not waited for again.
 */
export function demoAgent({ id = 'main', paceMs = 20, clock = systemClock() }: DemoAgentOptions = {}): Agent {
  return defineAgent({
    id,
    name: 'Demo agent',
    resumable: true,
    models: [{ id: 'demo', name: 'Demo (no model configured)', provider: 'demo' }],
    async *run({ text, journal, call }) {
      const saidUnits = { text: 0, thinking: 0 };
      for (const part of journal.open) {
        if (part.type === 'text' || part.type === 'thinking') saidUnits[part.type] += part.text.length;
      }
      async function* paced(kind: 'text' | 'thinking', words: string) {
        let units = 0;
        for (const word of words.split(/(?<=\s)/)) {
          units += word.length;
          if (units > saidUnits[kind]) await new Promise<void>((resolve) => clock.schedule(resolve, paceMs));
          yield kind === 'text' ? word : thinking(word);
        }
      }
      yield* paced('thinking', `Someone says “${text.slice(0, 80)}”. Let me look at the clock first.`);
      const time = yield* call({ name: 'clock', title: 'Look at the clock', args: {}, safe: true }, () =>
        new Date(clock.now()).toISOString(),
      );
      const answer = reply(text, time);
      yield* paced('text', answer);
      yield usage({ provider: 'demo', model: 'demo', outputTokens: answer.split(/\s+/).length });
    },
  });
}

function reply(text: string, time: string): string {
  const wanted = /\bcount to (\d{1,9})\b/i.exec(text)?.[1];
  if (wanted === undefined) return `It is ${time}. ${setup}`;
  const count = Math.min(Number(wanted), maxCount);
  const numbers = Array.from({ length: count }, (_, index) => `${index + 1}`).join(' ');
  return count < Number(wanted) ? `${numbers} … and so on; ${maxCount} is as far as I count.` : `${numbers}`;
}
