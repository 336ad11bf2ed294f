import { connect, type Gateway, isGatewayError, type Phase } from '@openclaw/client';
import type { Side } from './side.ts';

const words: Readonly<Record<Phase, string>> = {
  idle: 'connecting',
  dialing: 'connecting',
  handshaking: 'connecting',
  resuming: 'catching up',
  live: 'connected',
  probing: 'checking',
  backoff: 'disconnected, trying again',
  offline: 'no network',
  closed: 'closed',
  failed: 'refused',
};

/** The left side: this repository's client, used as its README says. */
export class OwnClient {
  readonly gateway: Gateway;
  readonly #side: Side;

  constructor(side: Side, { url, token }: { url: string; token: string }) {
    this.#side = side;
    this.gateway = connect({ url, token, client: { id: 'webchat', mode: 'webchat', displayName: 'demo, left' } });
    this.gateway.on('state', ({ state }) =>
      side.setLink({ words: words[state], isUp: state === 'live' || state === 'resuming' || state === 'probing' }),
    );
  }

  /** Asks, and streams the answer to the side until it ends. The id of the run is known at once. */
  ask(question: string): { runId: string; done: Promise<void> } {
    const run = this.gateway.session('demo').send(question);
    const done = (async () => {
      try {
        for await (const part of run) {
          if (part.type === 'text')
            this.#side.take(part.replace ? part.text : part.delta, { isWhole: part.replace === true });
        }
      } catch (error) {
        this.#side.setLink({ words: isGatewayError(error) ? error.message : String(error), isUp: false });
      }
      this.#side.end();
    })();
    return { runId: run.id, done };
  }
}
