/** The agents of the program, and the worker that keeps one running, for whoever composes a gateway of their own. */
export { type AgentChoice, loadAgent } from './agent-choice.ts';
export { AgentWorker } from './agent-worker.ts';
export { demoAgent } from './demo-agent.ts';
