import { FailedAttempts } from '../connection/failed-attempts.ts';
import type { ConnectionLimits } from '../connection/limits.ts';
import type { LiveOptions } from '../gateway-options.ts';
import type { GatewayParts } from '../methods/context.ts';
import { hookRoutes } from './hooks/hook-routes.ts';
import { UsedSignatures } from './hooks/used-signatures.ts';
import { mediaRoutes } from './media/media-routes.ts';
import { openAiRoutes } from './openai/openai-routes.ts';
import type { HttpRoute } from './route.ts';

/** The gateway's routes that take messages and files, in the order in which they are asked. */
export function gatewayRoutes(
  parts: GatewayParts,
  { live, limits }: { live: () => LiveOptions; limits: () => ConnectionLimits },
): HttpRoute[] {
  const { clock, documents, audit } = parts;
  const failures = new FailedAttempts(clock, () => {
    const { failedAuthPerMinute, failedAuthBlockMs, failedAuthMaxBlockMs } = limits();
    return { perMinute: failedAuthPerMinute, blockMs: failedAuthBlockMs, maxBlockMs: failedAuthMaxBlockMs };
  });
  const usedSignatures = new UsedSignatures({ documents, clock });
  return [
    ...openAiRoutes(parts, () => live().openAi ?? {}),
    ...mediaRoutes(parts),
    ...hookRoutes(parts, { settings: live, failures, usedSignatures, note: audit.note }),
  ];
}
