import { inMemory, inWorker } from './conformance-homes.ts';
import { conformanceIn } from './conformance-suite.ts';

conformanceIn('in the memory of its gateway', inMemory);
conformanceIn('in a worker thread of its gateway', inWorker);
