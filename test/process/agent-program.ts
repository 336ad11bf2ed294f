// An agent in a process of its own, over WebSocket with the token of its role.
import { serve } from '@openclaw/plugin-sdk';
import { chosenAgent } from './chosen-agent.ts';

const { AGENT = '{}', AGENT_URL = '', AGENT_TOKEN = '' } = process.env;
const serving = serve(
  await chosenAgent(JSON.parse(AGENT)),
  { url: AGENT_URL, token: AGENT_TOKEN },
  {
    // Back soon: what is tested is not the length of a backoff.
    random: () => Math.random() / 10,
  },
);
serving.ready.then(
  () => console.log('ready'),
  () => undefined,
);
process.on('SIGTERM', () => void serving.close({ drainMs: 10_000 }));
const error = await serving.closed;
if (error) console.error(`ended: ${error.code} ${error.message}`);
process.exit(error ? 1 : 0);
