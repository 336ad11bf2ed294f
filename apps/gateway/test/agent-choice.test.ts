import { describe, expect, test } from 'vitest';
import { chooseAgent } from '../src/agent-choice.ts';

describe('the choice of the agent', () => {
  test('with no model named anywhere it is the demo', () => {
    expect(chooseAgent({}, {}, {})).toEqual({ kind: 'demo' });
  });

  test('flags win over the configuration', () => {
    const choice = chooseAgent(
      { baseUrl: 'http://a/v1', model: 'a', instructions: 'Be brief.' },
      { agentUrl: 'http://b/v1', agentModel: 'b' },
      {},
    );
    expect(choice).toEqual({
      kind: 'model',
      config: { baseUrl: 'http://b/v1', model: 'b', instructions: 'Be brief.' },
      about: 'b at http://b/v1',
    });
  });

  test('a key in the environment is enough', () => {
    expect(chooseAgent({}, {}, { ANTHROPIC_API_KEY: 'hush' })).toMatchObject({ kind: 'model' });
  });

  test('what is said about it holds no key', () => {
    expect(chooseAgent({}, { agentUrl: 'http://a/v1', agentKey: 'hush' }, {})).toMatchObject({
      about: 'the first model at http://a/v1',
    });
  });

  test.each([
    [{ agentModel: 'm' }, 78],
    [{ agentKey: 'hush' }, 78],
    [{ agentUrl: '127.0.0.1:11434' }, 64],
  ])('half of what a model needs is refused: %j', (flags, exitCode) => {
    expect(() => chooseAgent({}, flags, {})).toThrow(
      expect.objectContaining({ exitCode, message: expect.not.stringContaining('hush') }),
    );
  });
});
