export {
  type ConformanceCase,
  conformanceCases,
  type ConformanceHarness,
  type ConformanceOperator,
  type ConformancePrompts,
} from './testing/conformance.ts';
export { conformanceAgent, conformancePrompts } from './testing/conformance-agent.ts';
export { type Rehearsal, type RehearsalOptions, rehearse, spoken } from './testing/rehearsal.ts';
