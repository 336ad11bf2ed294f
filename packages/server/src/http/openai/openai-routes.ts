import type { GatewayParts } from '../../methods/context.ts';
import type { HttpExchange, HttpRoute } from '../route.ts';
import type { OpenAiApi } from './openai-api.ts';
import { defaultOpenAi, type OpenAiOptions } from './openai-options.ts';
import { notFound, problemBody, withProblems } from './problem.ts';

/** How long the body of a request may take: it may hold files. */
const bodyTimeoutMs = 60_000;

type Endpoint = 'chatCompletions' | 'responses';

/** The OpenAI-compatible API. `settings` is asked at each request, since they can change while the gateway runs. */
export function openAiRoutes(parts: GatewayParts, settings: () => OpenAiOptions): HttpRoute[] {
  let loading: Promise<OpenAiApi> | undefined;
  const load = async () => new (await import('./openai-api.ts')).OpenAiApi(parts, settings);
  const route = (
    path: string,
    methods: HttpRoute['methods'],
    endpoints: readonly Endpoint[],
    handle: (api: OpenAiApi, exchange: HttpExchange) => Promise<void>,
  ): HttpRoute => ({
    path,
    methods,
    bodyTimeoutMs,
    problemBody,
    handle: (exchange) =>
      withProblems(async () => {
        requireOn({ ...defaultOpenAi, ...settings() }, endpoints);
        loading ??= load();
        await handle(await loading, exchange);
      }),
  });
  return [
    route('/v1/models', ['GET'], ['chatCompletions', 'responses'], (api, exchange) => api.models(exchange)),
    route('/v1/models/', ['GET'], ['chatCompletions', 'responses'], (api, exchange) => api.models(exchange)),
    route('/v1/chat/completions', ['POST'], ['chatCompletions'], (api, exchange) => api.chat(exchange)),
    route('/v1/responses', ['POST'], ['responses'], (api, exchange) => api.respond(exchange)),
    route('/v1/responses/', ['GET', 'POST'], ['responses'], (api, exchange) => api.response(exchange)),
  ];
}

function requireOn(options: Required<OpenAiOptions>, endpoints: readonly Endpoint[]): void {
  if (endpoints.some((endpoint) => options[endpoint])) return;
  throw notFound(`This is turned off; the option openAi.${endpoints.join(' or openAi.')} turns it on.`);
}
