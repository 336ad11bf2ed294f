export { type Rehearsal, type RehearsalOptions, rehearse, spoken } from './testing/rehearsal.ts';
