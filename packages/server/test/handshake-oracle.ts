import { methods } from '@openclaw/protocol';

/** What the contract says about hello-ok. */
export const helloOkSchema = methods.connect.result;

export { settle } from '@openclaw/protocol/testing';
