import { methods } from '@openclaw/protocol';
import { AtRelease, implement, type MethodImplementation } from '../dispatch/method.ts';
import type { GatewayParts } from './context.ts';

/** `streams.subscribe` and `streams.unsubscribe`. */
export function streamMethods({ subscriptions }: GatewayParts): MethodImplementation[] {
  return [
    implement(methods['streams.subscribe'], async ({ streams }, { peer }) => {
      const start = await subscriptions.subscribe(peer, streams);
      return new AtRelease(() => {
        const { result, begin } = start();
        return { result, after: begin };
      });
    }),
    implement(methods['streams.unsubscribe'], ({ streams }, { peer }) => ({
      streams: subscriptions.unsubscribe(peer, streams),
    })),
  ];
}
