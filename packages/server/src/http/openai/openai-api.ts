import type { GatewayParts } from '../../methods/context.ts';
import { cutWhenStalled, sendJson } from '../responses.ts';
import { type HttpCaller, type HttpExchange, HttpProblem } from '../route.ts';
import { type Answer, answerNow, readAnswer, wholeAnswer } from './answer.ts';
import { chatCompletion, sendChat } from './chat-answer.ts';
import { chatRequest, readChat } from './chat-request.ts';
import { EventSender, leaving } from './event-sender.ts';
import { type HttpRun, HttpRuns } from './http-runs.ts';
import { Models } from './models.ts';
import { defaultOpenAi, type OpenAiOptions } from './openai-options.ts';
import { badRequest, notFound } from './problem.ts';
import { type Asked, idempotencyKey, namedSession, readRequest } from './request.ts';
import { ResponseEvents } from './response-events.ts';
import { responseNow, runIdOf } from './response-object.ts';
import { readResponses, responsesRequest } from './responses-request.ts';

/** Answers the requests of the API. Loaded with the first of them, since most gateways have it off. */
export class OpenAiApi {
  readonly #parts: GatewayParts;
  readonly #settings: () => OpenAiOptions;
  readonly #models: Models;
  readonly #runs: HttpRuns;
  #openCount = 0;

  constructor(parts: GatewayParts, settings: () => OpenAiOptions) {
    this.#parts = parts;
    this.#settings = settings;
    this.#models = new Models({ agents: parts.agents, now: parts.clock.now() });
    this.#runs = new HttpRuns(parts);
  }

  get #options(): Required<OpenAiOptions> {
    return { ...defaultOpenAi, ...this.#settings() };
  }

  /** `GET /v1/models` and `GET /v1/models/{model}`. */
  async models(exchange: HttpExchange): Promise<void> {
    const { request, response, path } = exchange;
    await exchange.authorize('operator.read');
    const id = decoded(path.slice('/v1/models/'.length));
    const found = id === '' ? { object: 'list', data: this.#models.list() } : this.#models.find(id);
    sendJson(request, response, 200, found);
  }

  /** `POST /v1/chat/completions`. */
  async chat(exchange: HttpExchange): Promise<void> {
    const { response } = exchange;
    const caller = await exchange.authorize('operator.write');
    await this.#answering(async () => {
      const { run, isStreaming, includesUsage } = await this.#takeChat(exchange, caller);
      const signal = leaving(response);
      if (!isStreaming) {
        this.#sendWhole(exchange, await wholeAnswer(this.#parts.runReader, run, signal), (answer) =>
          chatCompletion(run, answer),
        );
        return;
      }
      await this.#streaming(exchange, signal, (sender) =>
        sendChat(sender, run, readAnswer(this.#parts.runReader, run, signal), { includesUsage }),
      );
    });
  }

  /** What the request asked is let go of with this: its files would be held for as long as the answer takes. */
  async #takeChat(exchange: HttpExchange, caller: HttpCaller) {
    const asked = readChat(await readRequest(exchange.request, chatRequest, this.#options.maxBodyBytes));
    const run = await this.#runs.take({ api: 'chat.completions', caller, ...this.#newRun(exchange, asked) });
    return { run, isStreaming: asked.isStreaming, includesUsage: asked.includesUsage };
  }

  /** `POST /v1/responses`. */
  async respond(exchange: HttpExchange): Promise<void> {
    const { response } = exchange;
    const caller = await exchange.authorize('operator.write');
    await this.#answering(async () => {
      const { run, isStreaming, isBackground } = await this.#takeResponse(exchange, caller);
      const signal = leaving(response);
      if (isStreaming) {
        await this.#sendEvents(exchange, run, signal);
        return;
      }
      const read = isBackground ? answerNow : wholeAnswer;
      this.#sendWhole(exchange, await read(this.#parts.runReader, run, signal), (answer) => responseNow(run, answer));
    });
  }

  /** See {@link OpenAiApi.#takeChat}. */
  async #takeResponse(exchange: HttpExchange, caller: HttpCaller) {
    const asked = readResponses(await readRequest(exchange.request, responsesRequest, this.#options.maxBodyBytes));
    const { previousId, isStreaming, isBackground } = asked;
    const previous =
      previousId === undefined ? undefined : await this.#runs.findFor(caller, 'responses', runIdOf(previousId) ?? '');
    if (previousId !== undefined && !previous)
      throw badRequest(`The previous response '${previousId.slice(0, 64)}' does not exist, or not any more.`);
    const sessionKey = previous?.stream.state.entry?.key;
    const run = await this.#runs.take({
      api: 'responses',
      caller,
      ...this.#newRun(exchange, asked),
      ...(sessionKey === undefined ? {} : { sessionKey, previousId }),
    });
    return { run, isStreaming, isBackground };
  }

  /** `GET /v1/responses/{id}` and `POST /v1/responses/{id}/cancel`. */
  async response(exchange: HttpExchange): Promise<void> {
    const { request, response, path, query } = exchange;
    const [id = '', action, ...rest] = path.slice('/v1/responses/'.length).split('/').map(decoded);
    const isCancel = request.method === 'POST';
    if (rest.length > 0 || (action !== undefined && action !== 'cancel')) throw notFound('Nothing is here.');
    if (isCancel !== (action === 'cancel')) {
      const allow = isCancel ? 'GET, HEAD' : 'POST';
      throw new HttpProblem(405, 'method_not_allowed', `Use ${allow} here.`, { allow });
    }
    const caller = await exchange.authorize(isCancel ? 'operator.write' : 'operator.read');
    const run = await this.#runs.findFor(caller, 'responses', runIdOf(id) ?? '');
    if (!run) throw notFound(`The response '${id.slice(0, 64)}' does not exist, or not any more.`);
    const signal = leaving(response);
    if (isCancel) await this.#runs.cancel(run);
    else if (query.get('stream') === 'true') {
      const from = startingAfter(query);
      await this.#answering(() => this.#sendEvents(exchange, run, signal, from));
      return;
    }
    this.#sendWhole(exchange, await answerNow(this.#parts.runReader, run, signal), (answer) =>
      responseNow(run, answer),
    );
  }

  #newRun({ request, traceparent }: HttpExchange, { model, user, earlier, message }: Asked) {
    return {
      model,
      agentId: this.#models.agentOf(model),
      sessionKey: namedSession(request) ?? (user ? `openai:${user}` : undefined),
      key: idempotencyKey(request),
      earlier,
      message,
      traceparent,
    };
  }

  /** Sends an answer as JSON; nothing when there is none, since nobody is there any more. */
  #sendWhole<A extends Answer>(
    { request, response }: HttpExchange,
    answer: A | undefined,
    bodyOf: (answer: A) => object,
  ): void {
    if (!answer) return;
    const body = bodyOf(answer);
    cutWhenStalled(response, this.#options.stallMs);
    sendJson(request, response, 200, body);
  }

  async #sendEvents(exchange: HttpExchange, run: HttpRun, signal: AbortSignal, startingAfter = 0): Promise<void> {
    const steps = readAnswer(this.#parts.runReader, run, signal);
    await this.#streaming(exchange, signal, async (sender) => {
      for await (const event of new ResponseEvents(run, { startingAfter }).of(steps))
        await sender.send(JSON.stringify(event), event.type);
      sender.end();
    });
  }

  async #streaming(
    { request, response }: HttpExchange,
    signal: AbortSignal,
    send: (sender: EventSender) => Promise<void>,
  ): Promise<void> {
    const sender = new EventSender(response, signal, { clock: this.#parts.clock, ...this.#options });
    try {
      if (request.method === 'HEAD') sender.end();
      else await send(sender);
    } finally {
      sender.close();
    }
  }

  /** Counts answers under way; more than are allowed get 429. */
  async #answering(task: () => Promise<void>): Promise<void> {
    const { maxOpenAnswers } = this.#options;
    if (this.#openCount >= maxOpenAnswers) {
      const told = `${maxOpenAnswers} answers are under way, the most that are allowed; send the request again later.`;
      throw new HttpProblem(429, 'rate_limit_error', told, { 'retry-after': '5' });
    }
    this.#openCount++;
    try {
      await task();
    } finally {
      this.#openCount--;
    }
  }
}

function startingAfter(query: URLSearchParams): number {
  const given = query.get('starting_after');
  if (given === null) return 0;
  const number = /^\d{1,15}$/.test(given) ? Number(given) : undefined;
  if (number === undefined) throw badRequest('`starting_after` is the sequence_number of the last event that came.');
  return number;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
