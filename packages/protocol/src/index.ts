export { type AsyncApiOptions, asyncApiDocument } from './asyncapi.ts';
export { defineEvent, defineMethod, type EventDeclaration, type MethodDeclaration, type Replay } from './contract.ts';
export { type Events, events, type Methods, methods } from './methods.ts';
export { checkValue, contractSchema, validationProblem } from './schema.ts';
export * from './wire.ts';
