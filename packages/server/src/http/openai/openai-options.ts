/** The OpenAI-compatible API under `/v1`. All of it is off until it is turned on. */
export interface OpenAiOptions {
  /** Serve `POST /v1/chat/completions`. Default false. */
  chatCompletions?: boolean;
  /** Serve `/v1/responses`. Default false. */
  responses?: boolean;
  /** Bytes of a request's body. Default 26,214,400 (25 MiB). */
  maxBodyBytes?: number;
  /** Answers that may be under way at a time, streams included; more requests get 429. Default 1,000. */
  maxOpenAnswers?: number;
  /** How long a stream may stay silent before it gets a comment line, in ms. Default 15,000. */
  heartbeatMs?: number;
  /** How long a reader may take nothing (of a stream: less than 64 KiB that wait) before it is cut, in ms; the run goes on. Default 60,000. */
  stallMs?: number;
}

export const defaultOpenAi: Required<OpenAiOptions> = {
  chatCompletions: false,
  responses: false,
  maxBodyBytes: 25 * 1_048_576,
  maxOpenAnswers: 1_000,
  heartbeatMs: 15_000,
  stallMs: 60_000,
};
