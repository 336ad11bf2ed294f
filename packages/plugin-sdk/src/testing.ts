export {
  type ConformanceCase,
  type ConformanceHarness,
  type ConformanceOperator,
  type ConformancePrompts,
  conformanceCases,
} from './testing/conformance.ts';
export { conformanceAgent, conformancePrompts } from './testing/conformance-agent.ts';
export { type Rehearsal, type RehearsalOptions, rehearse, spoken } from './testing/rehearsal.ts';
