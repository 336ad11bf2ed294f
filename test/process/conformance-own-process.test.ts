import { inOwnProcess } from './conformance-homes.ts';
import { conformanceIn } from './conformance-suite.ts';

conformanceIn('in a process of its own', inOwnProcess);
